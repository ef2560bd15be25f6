import random
from collections.abc import Sequence

import numpy as np

from bertctl.pipeline.wordpiece.matching import PieceMatcher, are_plain
from bertctl.pipeline.wordpiece.numbering import Keys, keys_of_lines, lengths_of
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

from .wordpiece_oracle import library_ids

LETTERS = "abc01"


def vocabulary(seed: int, *, whole_alphabet: bool) -> Vocabulary:
    chooser = random.Random(seed)
    pieces = {"".join(chooser.choices(LETTERS, k=chooser.randint(2, 7))) for _ in range(60)}
    pieces |= {"a" * 16, "b" * 17, "##", "#", ",", "##,"}
    pieces |= {f"##{piece}" for piece in chooser.sample(sorted(pieces), 30)}
    if whole_alphabet:
        pieces |= {*LETTERS, *(f"##{letter}" for letter in LETTERS)}
    return Vocabulary((*SPECIAL_TOKENS, *sorted(pieces - {"", "##"})))


def keys_of(words: Sequence[str]) -> Keys:
    keys, fits = keys_of_lines("".join(f"{word}\n" for word in words).encode())
    assert fits.all()
    return keys


def test_pieces_equal_the_librarys() -> None:
    chooser = random.Random(8)
    words = ["".join(chooser.choices(LETTERS, k=chooser.randint(1, 16))) for _ in range(2000)]
    words += ["#", ",", "a" * 16, "z", "az"]
    for seed in range(6):
        known = vocabulary(seed, whole_alphabet=seed % 2 == 0)
        ids, counts = PieceMatcher(known).cut(keys_of(words))
        expected_ids, expected_ends = library_ids(words, known, Normalization())
        assert ids.tolist() == expected_ids
        assert np.cumsum(counts).tolist() == expected_ends


def test_no_words_have_no_pieces() -> None:
    ids, counts = PieceMatcher(vocabulary(1, whole_alphabet=True)).cut(keys_of([]))
    assert len(ids) == len(counts) == 0


def test_plain_is_what_normalisation_leaves_alone() -> None:
    words = ["river", "R2", "a" * 16, "!", "é", "a\x01", "。", "\x7f"]
    keys = keys_of(words)
    assert are_plain(keys).tolist() == [True, True, True, True, False, False, False, False]
    assert lengths_of(keys).tolist() == [len(word.encode()) for word in words]


def test_a_key_holds_up_to_16_bytes_and_no_zero() -> None:
    lines = [b"river", b"", b"a" * 16, b"a" * 17, b"a\0", b"\0a", b"a\0a", "é".encode() * 8]
    keys, fits = keys_of_lines(b"".join(line + b"\n" for line in lines))
    assert fits.tolist() == [True, False, True, False, False, False, False, True]
    assert keys[0].tobytes() == b"river".ljust(16, b"\0")
