import random

import numpy as np

from bertctl.pipeline.wordpiece.matching import PieceMatcher, are_plain
from bertctl.pipeline.wordpiece.numbering import keys_of, lengths_of
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


def test_pieces_equal_the_librarys() -> None:
    chooser = random.Random(8)
    words = ["".join(chooser.choices(LETTERS, k=chooser.randint(1, 16))) for _ in range(2000)]
    words += ["#", ",", "a" * 16, "z", "az"]
    for seed in range(6):
        known = vocabulary(seed, whole_alphabet=seed % 2 == 0)
        ids, counts = PieceMatcher(known).cut(keys_of([word.encode() for word in words]))
        expected_ids, expected_ends = library_ids(words, known, Normalization())
        assert ids.tolist() == expected_ids
        assert np.cumsum(counts).tolist() == expected_ends


def test_no_words_have_no_pieces() -> None:
    ids, counts = PieceMatcher(vocabulary(1, whole_alphabet=True)).cut(keys_of([]))
    assert len(ids) == len(counts) == 0


def test_plain_is_what_normalisation_leaves_alone() -> None:
    words = [b"river", b"R2", b"a" * 16, b"!", "é".encode(), b"a\x01", "。".encode(), b"\x7f"]
    keys = keys_of(words)
    assert are_plain(keys).tolist() == [True, True, True, True, False, False, False, False]
    assert lengths_of(keys).tolist() == list(map(len, words))
