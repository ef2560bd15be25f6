import pickle
import random
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.wordpiece import encode
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

from .wordpiece_oracle import COMPLETE, NORMALIZATIONS, SCANT, library_ids, make_vocabulary

VOCABULARIES = {"complete": COMPLETE, "scant": SCANT}
EVERY_CHARACTER = [
    chr(each) for each in range(sys.maxunicode + 1) if not 0xD800 <= each < 0xE000 and each != 10
]
# What has gone wrong in tokenizers: borders, deletions, decompositions, joiners, long words.
AWKWARD = [
    *map(chr, range(0x20)),
    *"\x7f\x80\x85\xa0\xad aAzZ09.#[]_<=>",
    *"\u0301\u0327\u0338\u0345\u200b\u200c\u200d\u2028\u2029\u202f\u2060\u3000\ufeff\ufffd\uffff",
    *"éÉåÅßẞİıſKﬁΣςσǅ≠≮≯;·`΄´῾…“”‘’—–、。「」",
    *"中文一㐀丽𠀀龍한국각\u1112\u1161\u11ab",
    *"ไทยกำ\u0e33\u0e48カナァｶﾞが゙゚देवनागरी\u302e\u302f\U0001d165",
    *"😀👩🏽🚀\U000e0020\U0001f1e9\U0010ffff\ue000",
]
AWKWARD = [each for each in AWKWARD if each != "\n"]
PIECES = st.sampled_from([*AWKWARD, "the", "River", "a" * 99, "[MASK]", "[UNK]", "##a", " ", "  "])
LINES = st.lists(
    st.one_of(
        st.lists(PIECES, max_size=12).map("".join),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20),
    ),
    max_size=9,
)


UNCASED = Normalization()


def assert_exact(
    lines: list[str], vocabulary: Vocabulary, normalization: Normalization = UNCASED
) -> None:
    ids, ends = WordPieceEncoder(vocabulary, normalization).encode_lines("\n".join(lines).encode())
    if lines and not lines[-1]:
        lines = lines[:-1]  # a final newline ends the line before it and starts none
    expected_ids, expected_ends = library_ids(lines, vocabulary, normalization)
    assert ends.tolist() == expected_ends
    assert ids.tolist() == expected_ids


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
@pytest.mark.parametrize("name", VOCABULARIES)
def test_ids_equal_the_librarys_on_random_unicode(name: str, normalization: Normalization) -> None:
    @settings(max_examples=60, deadline=None)
    @given(LINES)
    def holds(lines: list[str]) -> None:
        assert_exact(lines, VOCABULARIES[name], normalization)

    holds()


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
def test_ids_equal_the_librarys_on_awkward_characters_alone_and_inside_words(
    normalization: Normalization,
) -> None:
    alone = AWKWARD
    inside = [f"a{each}a" for each in AWKWARD]
    beside_each_other = [f"b{one}{other}b" for one in AWKWARD for other in AWKWARD]
    assert_exact([*alone, *inside, *beside_each_other], SCANT, normalization)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
def test_ids_equal_the_librarys_at_every_character(normalization: Normalization) -> None:
    shuffled = random.Random(5).sample(EVERY_CHARACTER, len(EVERY_CHARACTER))
    encoder = WordPieceEncoder(SCANT, normalization)
    for start in range(0, len(EVERY_CHARACTER), 10_007):
        some = EVERY_CHARACTER[start : start + 10_007]
        lines = [
            " ".join(some),
            " ".join(f"a{each}a" for each in some),
            "b".join(shuffled[start : start + 10_007]),
        ]
        ids, ends = encoder.encode_lines("\n".join(lines).encode())
        assert (ids.tolist(), ends.tolist()) == library_ids(lines, SCANT, normalization)


def test_a_word_of_101_characters_is_unknown_and_one_of_100_is_not() -> None:
    for letter in "aé":
        words = [letter * length for length in (7, 8, 9, 16, 17, 99, 100, 101, 207)]
        assert_exact([*words, " ".join(words)], COMPLETE, Normalization(strip_accents=False))
        assert_exact([*words, " ".join(words)], COMPLETE)
    encoder = WordPieceEncoder(COMPLETE, UNCASED)
    assert encoder.encode_text("a" * 101).tolist() == [COMPLETE.unk_id]
    assert len(encoder.encode_text("a" * 100)) == 100


def test_words_that_share_their_first_16_bytes_stay_apart() -> None:
    stems = ["abcdefgh", "abcdefghijklmnop", "abcdefgh\u0301klmnop"]
    words = [stem + ending for stem in stems for ending in ("", "a", "b", "qr", "qs", "é", "中")]
    assert_exact([" ".join(words), *words], COMPLETE)


def test_a_special_token_in_the_text_is_ordinary_text() -> None:
    vocabulary = make_vocabulary(["[", "]", "mask", "e", "##nt"], ["[ENT]"])
    ids = WordPieceEncoder(vocabulary, UNCASED).encode_text("[MASK] [ENT]")
    assert [vocabulary.tokens[id] for id in ids] == ["[", "mask", "]", "[", "e", "##nt", "]"]


@pytest.mark.parametrize("final", ["", "\n"], ids=["open end", "closed end"])
def test_every_line_has_its_end_with_or_without_a_final_newline(final: str) -> None:
    lines = ["the river", "", "a  b ", "\x00", "...", " ", "中文river"]
    text = ("\n".join(lines) + final).encode()
    ids, ends = WordPieceEncoder(COMPLETE, UNCASED).encode_lines(text)
    assert ends.tolist() == library_ids(lines, COMPLETE, UNCASED)[1]
    assert ends[-1] == len(ids)


def test_no_text_has_no_lines() -> None:
    ids, ends = WordPieceEncoder(COMPLETE, UNCASED).encode_lines(b"")
    assert len(ids) == len(ends) == 0
    assert ids.dtype == np.uint16
    assert ends.dtype == np.int64


def test_ids_do_not_depend_on_how_text_is_cut_nor_on_what_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chooser = random.Random(3)
    words = [
        "".join(chooser.choices(AWKWARD[40:] + list("abcde"), k=1 + n % 23)) for n in range(900)
    ]
    lines = [" ".join(chooser.choices(words, k=13)) for _ in range(300)]
    lines += ["中文" * 400, "a," * 500]  # no whitespace to cut at
    text = "\n".join(lines).encode()
    ids, ends = WordPieceEncoder(SCANT, UNCASED).encode_lines(text)
    for block_bytes, batch_words, capacity in ((64, 7, 8), (1000, 100, 128), (5000, 31, 256)):
        monkeypatch.setattr(encode, "BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(encode, "BATCH_WORDS", batch_words)
        monkeypatch.setattr(encode, "CAPACITY", capacity)
        encoder = WordPieceEncoder(SCANT, UNCASED)
        for _ in range(2):  # the second time much is known
            other_ids, other_ends = encoder.encode_lines(text)
            assert np.array_equal(other_ids, ids)
            assert np.array_equal(other_ends, ends)


def test_a_newline_in_a_text_of_many_is_a_space() -> None:
    encoder = WordPieceEncoder(COMPLETE, UNCASED)
    texts = ["the\nriver", "", "\n\n", "a\r\nb", "é"]
    ids, ends = encoder.encode_texts(texts)
    expected_ids, expected_ends = library_ids(texts, COMPLETE, UNCASED)
    assert ids.tolist() == expected_ids
    assert ends.tolist() == expected_ends
    assert encoder.encode_text(texts[0]).tolist() == expected_ids[: expected_ends[0]]


def test_ids_above_65535_are_kept_in_32_bits() -> None:
    vocabulary = make_vocabulary([*(f"w{number}" for number in range(1 << 16)), "last", "##one"])
    encoder = WordPieceEncoder(vocabulary, UNCASED)
    ids = encoder.encode_text("w0 lastone")
    assert ids.dtype == np.uint32
    assert ids.tolist() == [5, len(vocabulary) - 2, len(vocabulary) - 1]


def test_marks_that_stay_are_put_in_order() -> None:
    word = "b\u302e\U0001d165b"
    assert_exact([word, f"{word[:2]} {word}", "b\U0001d165\u302eb"], SCANT)
    ids = WordPieceEncoder(SCANT, UNCASED).encode_text(word)
    assert [SCANT.tokens[id] for id in ids] == ["b", "##\U0001d165", "##\u302e", "##b"]


def test_pickling_changes_no_id() -> None:
    lines = ["the River é", "thermal rivers", "中文 lived"]
    text = "\n".join(lines).encode()
    encoder = WordPieceEncoder(COMPLETE, UNCASED)
    encoder.encode_texts(["the thermal e 中", "w" * 120])
    expected = library_ids(lines, COMPLETE, UNCASED)
    for each in (encoder, pickle.loads(pickle.dumps(encoder))):
        assert each.encode_lines(text)[0].tolist() == expected[0]


def test_words_that_the_library_cut_are_counted_wherever_they_stand() -> None:
    encoder = WordPieceEncoder(COMPLETE, UNCASED)
    ours = "the river . é é жук жукжукжу 中 ﬁ"
    text = f"{ours}\nthe é\u302e {'w' * 17} the é\u302e жукжукжук".encode()
    encoder.encode_lines(text)
    assert (encoder.num_words, encoder.num_library_words) == (15, 4)
    encoder.encode_lines(text)
    assert (encoder.num_words, encoder.num_library_words) == (30, 8)
