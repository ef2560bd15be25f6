import subprocess
import sys

import numpy as np
import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.wordpiece.vocabulary import (
    SPECIAL_TOKENS,
    Normalization,
    Vocabulary,
    check_special_tokens,
)

from .wordpiece_oracle import make_vocabulary


def test_random_words_are_neither_special_nor_unused() -> None:
    vocabulary = Vocabulary(
        ("[unused0]", *SPECIAL_TOKENS, "a", "[unused17]", "<e>", "##b", "[", "[unusedx]", "##"),
        extra_special_tokens=("<e>",),
    )
    replaceable = [vocabulary.tokens[id] for id in vocabulary.replaceable_ids]
    assert replaceable == ["a", "##b", "[", "[unusedx]", "##"]
    assert vocabulary.replaceable_ids.dtype == np.uint16


def test_pieces_that_continue_a_word_are_known() -> None:
    vocabulary = make_vocabulary(["a", "##a", "#", "##é"])
    assert vocabulary.is_continuation.tolist() == [False] * 5 + [False, True, False, True]


def test_ids_take_16_bits_up_to_65536_tokens() -> None:
    words = [f"w{number}" for number in range((1 << 16) - 5)]
    assert make_vocabulary(words).id_dtype == np.uint16
    assert make_vocabulary([*words, "one more"]).id_dtype == np.uint32


def test_the_fingerprint_tells_apart_whatever_changes_an_id_and_is_stable() -> None:
    vocabulary = make_vocabulary(["a", "b"])
    others = [
        (make_vocabulary(["b", "a"]), Normalization()),
        (make_vocabulary(["a", "b", "c"]), Normalization()),
        (make_vocabulary(['a","b'], ()), Normalization()),
        (vocabulary, Normalization(lowercase=False)),
        (vocabulary, Normalization(strip_accents=False)),
        (vocabulary, Normalization(tokenize_chinese_chars=False)),
    ]
    fingerprints = {each.fingerprint(normalization) for each, normalization in others}
    mine = vocabulary.fingerprint(Normalization())
    assert len(fingerprints | {mine}) == len(others) + 1
    program = (
        "from bertctl.pipeline.wordpiece.vocabulary import *\n"
        "vocabulary = Vocabulary((*SPECIAL_TOKENS, 'a', 'b'))\n"
        "print(vocabulary.fingerprint(Normalization()))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert printed.stdout.decode().strip() == mine


@pytest.mark.parametrize("token", ["[ENT]", "<e>", "@user", "_x", "[中]"])
def test_a_special_token_opens_with_a_mark(token: str) -> None:
    check_special_tokens([token])


@pytest.mark.parametrize(
    "token",
    ["word", "e", "é", "中", "#", "[", "##ing", "[A B]", "<\u3000>", "", "[unused3]", "[CLS]"],
)
def test_a_special_token_that_text_could_hold_is_refused(token: str) -> None:
    with pytest.raises(BadInput):
        check_special_tokens([token])


def test_a_special_token_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="given twice"):
        check_special_tokens(["<a>", "<b>", "<a>"])
