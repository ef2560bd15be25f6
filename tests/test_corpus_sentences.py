"""Sentences: nothing lost, nothing doubled, and cut where a reader would cut."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus import segmenting, sentences
from bertctl.pipeline.corpus.sentences import split_sentences
from bertctl.pipeline.corpus.settings import (
    CorpusSettings,
    SentenceSettings,
    check_corpus_settings,
    language_code,
)
from bertctl.pipeline.errors import BadInput

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
PUNCTUATED = st.lists(
    st.sampled_from([*"aB1中。！？｡”’」）“‘「（\"'().!? \n\r\t\u3000😀é", "Dr. ", "e.g. ", "\n\n"]),
    max_size=60,
).map("".join)
LANGUAGES = ["en", "zh", "de", "el", "hy", "my", "hi", "ar", "ja", "am", "xyz"]


def split(text: str, *, language: str) -> list[str]:
    return split_sentences(text, SentenceSettings(language=language))


def visible(text: str) -> str:
    return "".join(text.split())


@given(text=ANY_TEXT | PUNCTUATED, language=st.sampled_from(LANGUAGES))
@settings(max_examples=1500, deadline=None)
def test_sentences_hold_every_visible_character_of_the_document_in_order(text, language):
    found = split(text, language=language)
    assert visible("".join(found)) == visible(text)
    assert all(each and each == each.strip() and "\n" not in each for each in found)


@given(
    paragraphs=st.lists(PUNCTUATED.map(lambda text: text.replace("\n", "")), max_size=5),
    times=st.sampled_from([1, 1, 1, 1, 300]),
    language=st.sampled_from(LANGUAGES),
)
@settings(max_examples=150, deadline=None)
def test_paragraphs_of_one_document_are_split_as_each_is_alone(paragraphs, times, language):
    # Full-width ends anywhere in a document change how all of it is taken.
    paragraphs = [re.sub("[。！？｡]", ".", each) for each in paragraphs] * times
    alone = {each: split(each, language=language) for each in set(paragraphs)}
    expected = [sentence for each in paragraphs for sentence in alone[each]]
    assert split("\n".join(paragraphs), language=language) == expected


def test_a_closing_mark_left_alone_belongs_to_the_sentence_before_it_among_paragraphs_too():
    paragraphs = ['He said "Go. "', "Then (he left. )", "Nothing else.", "The end. ”"]
    assert split("\n".join(paragraphs), language="en") == [
        sentence for each in paragraphs for sentence in split(each, language="en")
    ]
    assert not {'"', ")", "”"} & set(split("\n".join(paragraphs), language="en"))


def test_every_character_of_unicode_comes_through():
    for start in range(0, 0x110000, 0x400):
        block = "".join(
            f"a{chr(code)}b. {chr(code)} B{chr(code)}. "
            for code in range(start, start + 0x400)
            if unicodedata.category(chr(code)) != "Cs"
        )
        assert visible("".join(split(block, language="en"))) == visible(block)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ("en", "No end here\nnor there", ["No end here", "nor there"]),
        ("en", 'He said "Go! Now." Then he left.', ['He said "Go! Now."', "Then he left."]),
        ("de", "Das ist z.B. gut. Ja.", ["Das ist z.B. gut.", "Ja."]),
        # sentencex alone joins the full stop to the digit, and leaves the closing quote alone.
        ("zh", "总则。2004年修订。", ["总则。", "2004年修订。"]),
        ("zh", "他说：“你好。”然后走了。", ["他说：“你好。”", "然后走了。"]),
        ("zh", "（见第 3.5 节 example.com。）好！", ["（见第 3.5 节 example.com。）", "好！"]),
        ("ja", "「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("ja", "ﾊｲ｡ﾜｶﾘﾏｼﾀ｡", ["ﾊｲ｡", "ﾜｶﾘﾏｼﾀ｡"]),
        ("zh", "真的？！是。。。吗", ["真的？！", "是。。。", "吗"]),
        ("hi", "यह है। वह था।", ["यह है।", "वह था।"]),
        ("en", "", []),
        ("en", " \n \r\n", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(language, text, expected):
    assert split(text, language=language) == expected


@pytest.mark.parametrize("space", "\x85\xa0\u1680\u2003\u2028\u202f\u3000")
def test_wide_spaces_are_spaces(space):
    # sentencex alone panics at the first of these full stops.
    narrow = "B . So he left. It was » 7 . Good."
    found = split(narrow.replace(" ", space), language="en")
    assert [each.replace(space, " ") for each in found] == split(narrow, language="en")
    assert len(found) > 2


@pytest.mark.parametrize("space", "\xa0\u2009\u202f\u3000")
def test_common_wide_spaces_never_get_to_where_sentencex_panics_on_the_terminal(space, capfd):
    assert split(f"A B{space}. Then more.", language="en") == [f"A B{space}.", "Then more."]
    assert split(f"« 7{space}» : A B{space}.\nThen more.", language="en")
    assert capfd.readouterr().err == ""


def test_long_paragraphs_are_cut_at_sentences_and_lose_nothing():
    text = "".join(f"Sentence {n} says something. " for n in range(20_000)).strip()
    found = split(text, language="en")
    assert found == [f"Sentence {n} says something." for n in range(20_000)]
    digits = "0123456789 " * 5_000
    assert visible("".join(split(digits, language="en"))) == visible(digits)
    assert max(map(len, split(digits, language="en"))) <= 8_000
    assert visible("".join(split("中" * 30_000, language="zh"))) == "中" * 30_000


def test_text_that_sentencex_returns_changed_is_kept_as_it_is(monkeypatch):
    expected = ["One. Two.", "Three."]
    monkeypatch.setattr(segmenting, "segment", lambda language, text: [text[:-1]])
    assert split("One. Two.\nThree.", language="en") == expected
    monkeypatch.setattr(segmenting, "segment", lambda language, text: ["more", "sentences"])
    assert split("One. Two.\nThree.", language="en") == expected


def test_text_taken_for_settled_is_not_cut_by_sentencex_either():
    from sentencex import segment

    inside = "中文 abc，、；：（123）“引”‘号’《书》…—·%"
    assert sentences._SETTLED.fullmatch(inside)
    for language in LANGUAGES:
        assert segment(language, inside) == [inside]


@given(text=ANY_TEXT)
@settings(max_examples=100, deadline=None)
def test_with_sentences_line_each_line_with_text_is_a_sentence(text):
    found = split_sentences(text, SentenceSettings(sentences="line"))
    assert found == [line.strip() for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize("language", ["english", "xx", "", "e n", "e", "zh-"])
def test_what_is_no_language_code_is_refused(language):
    with pytest.raises(BadInput, match="ISO 639") as error:
        check_corpus_settings(CorpusSettings(), SentenceSettings(language=language))
    assert "zh" in error.value.hint


def test_language_codes_are_read_in_any_case_and_with_a_region():
    assert [language_code(each) for each in ("EN", "pt_BR", "zh-Hans", "yue")] == [
        "en",
        "pt-br",
        "zh-hans",
        "yue",
    ]


def test_settings_that_contradict_each_other_are_refused():
    for corpus, how in [
        (CorpusSettings(unwrap=True, documents="line"), SentenceSettings()),
        (CorpusSettings(unwrap=True), SentenceSettings(sentences="line")),
    ]:
        with pytest.raises(BadInput, match="--unwrap"):
            check_corpus_settings(corpus, how)
    check_corpus_settings(CorpusSettings(unwrap=True), SentenceSettings())
