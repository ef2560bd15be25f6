import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.pipeline.vocab import lesson
from bertctl.pipeline.vocab.lesson import Spelled, choose_words, spell
from bertctl.pipeline.vocab.tables import WordCounts


def counted(counts: dict[str, int]) -> WordCounts:
    words = sorted(counts)
    numbers = [counts[word] for word in words]
    return WordCounts(pa.array(words, pa.string()), pa.array(numbers, pa.int64()))


def as_dict(words: Spelled) -> dict[str, int]:
    text = "".join(map(chr, words.code_points.tolist()))
    ends = np.cumsum(words.lengths).tolist()
    spelled = [
        text[end - length : end] for end, length in zip(ends, words.lengths.tolist(), strict=True)
    ]
    assert len(set(spelled)) == len(spelled)
    return dict(zip(spelled, words.counts.tolist(), strict=True))


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.just(3)),
    st.integers(0, 3),
)
def test_words_are_spelled_by_code_point(words: dict[str, int], start: int) -> None:
    table = counted(words)
    assert as_dict(spell(table)) == words
    kept = sorted(words)[start : start + 2]
    assert as_dict(spell(table[start : start + 2])) == {word: words[word] for word in kept}


def random_counts(number: int) -> dict[str, int]:
    chooser = random.Random(number)
    words = ["".join(chooser.choices("abcdé中", k=chooser.randint(1, 9))) for _ in range(number)]
    return {word: min(9, int(chooser.paretovariate(0.7))) for word in words}


def test_all_words_are_learnt_from_where_they_fit() -> None:
    counts = random_counts(300)
    chosen = choose_words([counted(counts)], 100)
    assert chosen.is_whole
    assert as_dict(chosen.words) == counts
    assert "".join(map(chr, chosen.alphabet)) == "abcdé中"


def test_of_more_words_than_fit_the_most_frequent_are_learnt_from_and_a_sample_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = random_counts(2000)
    sizes = {least: sum(len(w) for w, c in counts.items() if c >= least) for least in range(1, 10)}
    least = 4
    room = (sizes[least] + sizes[least - 1]) // 2
    monkeypatch.setattr(lesson, "MOST_CHARACTERS", room)
    chosen = choose_words([counted(counts)], 100)
    words = as_dict(chosen.words)
    assert not chosen.is_whole
    assert words.items() <= counts.items()
    assert {word for word in counts if counts[word] >= least} <= words.keys()
    sampled = [word for word in words if counts[word] < least]
    assert {counts[word] for word in sampled} == {least - 1}
    # Half of them, give or take five standard deviations.
    next_below = [word for word in counts if counts[word] == least - 1]
    assert abs(len(sampled) - len(next_below) / 2) < 5 * (len(next_below) / 4) ** 0.5
    assert sorted(next_below)[: len(sampled)] != sorted(sampled), "not the first by spelling"
    # The alphabet is the whole text's.
    assert chosen.alphabet.tolist() == choose_words([counted(counts)], 100).alphabet.tolist()


def test_batches_choose_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "MOST_CHARACTERS", 1500)
    table = counted(random_counts(900))
    whole = choose_words([table], "auto")
    parts = choose_words([table[start : start + 7] for start in range(0, 900, 7)], "auto")
    assert as_dict(whole.words) == as_dict(parts.words)
    for name in ("alphabet", "continuing"):
        assert getattr(whole, name).tolist() == getattr(parts, name).tolist()


def test_characters_of_words_left_out_still_have_their_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lesson, "MOST_CHARACTERS", 3)
    chosen = choose_words([counted({"ab": 9, "xy": 1})], 100)
    assert as_dict(chosen.words) == {"ab": 9}
    assert "".join(map(chr, chosen.continuing)) == "abxy"


def test_no_words_are_no_lesson() -> None:
    chosen = choose_words([], "auto")
    assert chosen.is_whole
    assert as_dict(chosen.words) == {}
