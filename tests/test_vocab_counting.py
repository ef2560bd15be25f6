import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from bertctl.pipeline.vocab import counting
from bertctl.pipeline.vocab.counting import count_words
from bertctl.pipeline.vocab.tables import WordCounts
from bertctl.pipeline.wordpiece.library import library_normalizer
from bertctl.pipeline.wordpiece.vocabulary import Normalization

from .wordpiece_oracle import NORMALIZATIONS

TEXT = st.text(
    st.one_of(
        st.sampled_from("abAB09 .,#\t\n\r\0\x0b\x85\u2028\u3000éÉ\u0301中、“≠한ไ😀\u200d"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


def library_counts(text: str, normalization: Normalization) -> Counter[str]:
    normalized = library_normalizer(normalization).normalize_str(text)
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalized)
    return Counter(word for word, _ in words)


def as_dict(counted: WordCounts) -> dict[str, int]:
    words = counted.words.to_pylist()
    assert words == sorted(words, key=str.encode)
    assert len(set(words)) == len(words)
    return dict(zip(words, counted.counts.to_pylist(), strict=True))


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
def test_counts_equal_those_of_the_librarys_words(normalization: Normalization) -> None:
    @settings(max_examples=100, deadline=None)
    @given(TEXT)
    def holds(text: str) -> None:
        assert as_dict(count_words([text.encode()], normalization)) == library_counts(
            text, normalization
        )

    holds()


def test_counts_do_not_depend_on_blocks_nor_on_how_many_words_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chooser = random.Random(2)
    words = ["".join(chooser.choices("abéÉ中.", k=chooser.randint(1, 21))) for _ in range(500)]
    text = " ".join(chooser.choices(words, k=3000)).encode()
    expected = count_words([text], Normalization())
    for block_bytes, batch_words, capacity in ((100, 7, 16), (999, 99, 128)):
        monkeypatch.setattr(counting, "BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(counting, "BATCH_WORDS", batch_words)
        monkeypatch.setattr(counting, "CAPACITY", capacity)
        assert count_words([text], Normalization()) == expected


def test_texts_in_any_order_and_number_add_up_to_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [
        f"the river {number % 7} of {number % 11} café {'x' * (number % 5)}".encode()
        for number in range(50)
    ]
    whole = count_words([b"\n".join(lines)], Normalization())
    assert as_dict(whole)["cafe"] == 50
    assert whole.total == 340
    for block_bytes in (1, 100, 10_000):
        monkeypatch.setattr(counting, "BLOCK_BYTES", block_bytes)
        random.Random(block_bytes).shuffle(lines)
        assert count_words(iter(lines), Normalization()) == whole


def test_no_text_has_no_words() -> None:
    for texts in ([], [b""], [b"", b" "]):
        counted = count_words(texts, Normalization())
        assert as_dict(counted) == {}
        assert counted.total == 0
