"""Documents in, their sentences out; every visible character is in exactly one sentence.

sentencex (Wikimedia) knows the rules of many languages. Around it: full-width terminators end a
sentence whatever follows (sentencex joins one to a following digit); paragraphs share a call, which
has its price; long ones are taken in windows, since unclosed quotes cost a square.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise

from sentencex import segment  # pyright: ignore[reportAttributeAccessIssue]

from .settings import SentenceSettings, language_code

_CALL_BYTES = 9_000
"""sentencex 1.0.32 cuts a text every 10 KiB by itself, and may lose a break there."""

_WINDOW_CHARACTERS = 8_000

_COMMON_WIDE_SPACES = "\xa0\u3000\u2009\u202f"
_WIDE_SPACE = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""White space of more than one byte."""

_BREAK = "\n\n"
"""sentencex ends a sentence here, and hands the break out as a string of its own."""

_WIDE_ENDS = "。！？｡"
_COMMON_WIDE_ENDS = "。！？"
_CLOSERS = "”’」』》〉）】〕〗〙〛｣\"')"
_WIDE_SENTENCE = re.compile(f"[^\n{_WIDE_ENDS}]*[{_WIDE_ENDS}]+[{_CLOSERS}]*|[^\n{_WIDE_ENDS}]+")

_SETTLED = re.compile(
    f"[0-9A-Za-z \u3000%()/+*#,，、；：…—·‘’“”（）【】《》〈〉「」『』〔〕～\\-{_WIDE_ENDS}"
    "\u3040-\u30ff\u3400-\u9fff０-９Ａ-Ｚａ-ｚ]*"
)
"""Text in which sentencex ends no sentence once the full-width ends are cut."""


def split_sentences(text: str, *, language: str) -> list[str]:
    """Return the sentences of one document, as `sentences_of` does."""
    return sentences_of([text], SentenceSettings(language=language))[0]


def sentences_of(texts: Sequence[str], settings: SentenceSettings) -> list[list[str]]:
    """Return the sentences of each document: stripped, none of them empty or with a line end.

    A line end in a document ends a sentence. Where documents are short, many at a time is faster.
    """
    if settings.sentences == "line":
        return [_without_blanks(text.split("\n")) for text in texts]
    settled: list[list[str | None]] = []
    unsettled: list[str] = []
    for text in texts:
        if any(end in text for end in _COMMON_WIDE_ENDS):
            stretches = _WIDE_SENTENCE.findall(text)
            known = [each if _SETTLED.fullmatch(each) else None for each in stretches]
            unsettled += [each for each, done in zip(stretches, known, strict=True) if not done]
        else:
            stretches = list(filter(None, text.split("\n")))
            known = list[str | None]([None]) * len(stretches)
            unsettled += stretches
        settled.append(known)
    found = _segmented(unsettled, language_code(settings.language))
    return [
        _without_blanks(
            chain.from_iterable(next(found) if each is None else (each,) for each in document)
        )
        for document in settled
    ]


def _segmented(paragraphs: Iterable[str], language: str) -> Iterator[list[str]]:
    """Yield the sentences of each paragraph, as many paragraphs to a call as fit."""
    group: list[str] = []
    size = 0
    for paragraph in paragraphs:
        length = len(paragraph) if paragraph.isascii() else len(paragraph.encode())
        if group and size + length > _CALL_BYTES:
            yield from _call(group, language)
            group, size = [], 0
        group.append(paragraph)
        size += length + len(_BREAK)
    if group:
        yield from _call(group, language)


def _call(group: list[str], language: str) -> Iterator[list[str]]:
    if len(group) == 1:
        yield list(_in_windows(group[0], language))
        return
    text = _BREAK.join(group)
    sentences = _segment(text, language)
    breaks = [-1, *(at for at, each in enumerate(sentences) if each == _BREAK), len(sentences)]
    if len(breaks) == len(group) + 1 and "".join(sentences) == text:
        for before, after in pairwise(breaks):
            yield _closed(sentences[before + 1 : after])
    else:
        for each in group:
            yield list(_in_windows(each, language))


def _in_windows(paragraph: str, language: str) -> Iterator[str]:
    """Split one paragraph; of a long one, a window's last sentence is begun again in the next."""
    start = 0
    while len(paragraph) - start > _WINDOW_CHARACTERS:
        window = paragraph[start : start + _WINDOW_CHARACTERS]
        sentences = _lossless(window, language)[:-1]
        if not sentences:  # nothing ends here: a list, a table, a wall of digits
            sentences = [window[: window.rfind(" ") + 1] or window]
        yield from sentences
        start += sum(map(len, sentences))
    yield from _lossless(paragraph[start:], language)


def _lossless(text: str, language: str) -> list[str]:
    sentences = _segment(text, language)
    return _closed(sentences) if "".join(sentences) == text else [text]


def _segment(text: str, language: str) -> list[str]:
    """Call sentencex, which panics at a wide space before a full stop, as in `B\u3000.`."""
    if any(space in text for space in _COMMON_WIDE_SPACES):
        return _with_narrow_spaces(text, language)
    try:
        return segment(language, text)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it has no name that can be imported
            raise
        return _with_narrow_spaces(text, language)


def _with_narrow_spaces(text: str, language: str) -> list[str]:
    ends = list(accumulate(map(len, segment(language, _WIDE_SPACE.sub(" ", text))), initial=0))
    return [text[start:end] for start, end in pairwise(ends)]


def _closed(sentences: list[str]) -> list[str]:
    """Give a bracket or quote that stands alone at the end back to its sentence."""
    if len(sentences) > 1 and not sentences[-1].strip(_CLOSERS):
        sentences[-2:] = [sentences[-2] + sentences[-1]]
    return sentences


def _without_blanks(sentences: Iterable[str]) -> list[str]:
    return [each for each in map(str.strip, sentences) if each]
