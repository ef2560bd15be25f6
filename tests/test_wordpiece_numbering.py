import random

import numpy as np
import pytest

from bertctl.pipeline.wordpiece.numbering import WordNumbers
from bertctl.pipeline.wordpiece.vocabulary import Normalization
from bertctl.pipeline.wordpiece.words import Segmenter, Words


def words_of(words: list[str]) -> Words:
    return Segmenter(Normalization()).words(" ".join(words).encode())


def random_words(count: int, *, seed: int) -> list[str]:
    chooser = random.Random(seed)
    return ["".join(chooser.choices("abé", k=chooser.randint(1, 27))) for _ in range(count)]


def test_each_distinct_word_has_one_number_and_keeps_it() -> None:
    numbers = WordNumbers(capacity=4096)
    number_of: dict[str, int] = {}
    for seed in (1, 2, 1, 3):
        words = random_words(1300, seed=seed)
        num_before = numbers.num_words
        found, new = numbers.number(words_of(words))
        known = len(number_of)
        # A word of each new number stands where it is said to.
        for number, position in enumerate(new.tolist(), start=num_before + 1):
            assert number_of.setdefault(words[position], number) == number
        assert len(number_of) == known + len(new) == numbers.num_words
        assert found.tolist() == [number_of[word] for word in words]
    assert len({*number_of.values()}) == len(number_of)


def test_a_full_table_tells_apart_words_that_begin_alike() -> None:
    words = [f"abcdefgh{number:o}" for number in range(512)]
    numbers = WordNumbers(capacity=512)
    found = [numbers.number(words_of(half))[0] for half in (words[:201], words[201:])]
    assert sorted(np.concatenate(found).tolist()) == list(range(1, 513))
    assert not numbers.has_room_for(1)


def test_a_table_that_was_cleared_begins_at_one() -> None:
    numbers = WordNumbers(capacity=64)
    numbers.number(words_of(["a", "b" * 9, "c" * 30]))
    numbers.clear()
    found, new = numbers.number(words_of(["c" * 30, "b" * 9]))
    assert sorted(found.tolist()) == [1, 2]
    assert len(new) == 2


def test_the_bytes_of_long_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertctl.pipeline.wordpiece.numbering._MAX_LONG_BYTES", 100)
    numbers = WordNumbers(capacity=64)
    numbers.number(words_of(["a" * 60, "a" * 60, "b" * 16]))
    assert numbers.has_room_for(5)
    numbers.number(words_of(["c" * 60]))
    assert not numbers.has_room_for(5)
    numbers.clear()
    assert numbers.has_room_for(5)


def test_the_space_after_a_word_is_no_part_of_it() -> None:
    numbers = WordNumbers(capacity=64)
    words = ["a" * length for length in (1, 7, 8, 9, 15, 16, 17, 24, 25)]
    found, _ = numbers.number(words_of(words))
    for spaces in (3, 9, 20):
        spaced = Segmenter(Normalization()).words((" " * spaces).join([*words, ""]).encode())
        assert spaced.to_list() == [word.encode() for word in words]
        again, new = numbers.number(spaced)
        assert again.tolist() == found.tolist()
        assert not len(new)
