import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from bertctl.pipeline.wordpiece.library import library_normalizer
from bertctl.pipeline.wordpiece.vocabulary import Normalization
from bertctl.pipeline.wordpiece.words import Segmenter, is_plain, split_blocks

from .wordpiece_oracle import NORMALIZATIONS

TEXT = st.text(
    st.one_of(
        st.sampled_from("aZ09 .,#\t\n\r\x0b\x85\u2028\u3000é\u0301中、“…=≠한ไ😀\u200d"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=40,
)


def normalized_words(text: str, normalization: Normalization) -> list[str]:
    normalized = library_normalizer(normalization).normalize_str(text)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return [word for word, _ in pre_tokenizer.pre_tokenize_str(normalized)]


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
def test_normalising_each_raw_word_by_itself_gives_the_words_of_the_text(
    normalization: Normalization,
) -> None:
    segmenter = Segmenter(normalization)

    @settings(max_examples=150, deadline=None)
    @given(TEXT)
    def holds(text: str) -> None:
        raw = [word.decode() for word in segmenter.words(text.encode()).to_list()]
        from_raw = [each for word in raw for each in normalized_words(word, normalization)]
        assert from_raw == normalized_words(text, normalization)
        for word in raw:
            if is_plain(word.encode()):
                assert normalized_words(word, normalization) == [word]

    holds()


def test_words_are_cut_at_spaces_and_around_isolated_characters() -> None:
    cut = Segmenter(Normalization()).words("It's 中文、a\u2028b\x85c “Ünï” don\x1ct".encode())
    assert [word.decode() for word in cut.to_list()] == [
        *["it", "'", "s", "中", "文", "、", "a"],
        *["b\x85c", "“", "Ünï", "”", "don\x1ct"],
    ]


def test_capitals_stay_where_the_normalisation_keeps_them() -> None:
    cut = Segmenter(Normalization(lowercase=False)).words(b"The RIVER")
    assert cut.to_list() == [b"The", b"RIVER"]


@settings(max_examples=150, deadline=None)
@given(TEXT, st.integers(1, 30))
def test_blocks_are_the_text_cut_after_spaces(text: str, block_bytes: int) -> None:
    blocks = list(split_blocks(text.encode(), block_bytes))
    assert b"".join(blocks) == text.encode()
    for block in blocks[:-1]:
        assert block[-1:] in (b" ", b"\n")
        assert len(block) <= block_bytes or not set(b" \n") & set(block[:-1])


def test_no_nul_gets_into_a_block() -> None:
    assert list(split_blocks(b"a\0b \0\n\0", 3)) == [b"ab ", b"\n"]
