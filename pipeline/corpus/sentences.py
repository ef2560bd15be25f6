"""Documents in, their sentences out; every visible character is in exactly one sentence.

sentencex (Wikimedia) knows the rules of many languages. Around it: full-width terminators end a
sentence whatever follows (sentencex joins one to a following digit); long paragraphs are taken in
windows, since unclosed quotes cost a square.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

from sentencex import segment  # pyright: ignore[reportAttributeAccessIssue]

from .settings import SentenceSettings, language_code

_WINDOW_CHARACTERS = 8_000

_COMMON_WIDE_SPACES = "\xa0\u3000\u2009\u202f"
_WIDE_SPACE = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""White space of more than one byte."""

_WIDE_ENDS = "。！？｡"
_COMMON_WIDE_ENDS = "。！？"
_CLOSERS = "”’」』》〉）】〕〗〙〛｣\"')"
_WIDE_SENTENCE = re.compile(f"[^\n{_WIDE_ENDS}]*[{_WIDE_ENDS}]+[{_CLOSERS}]*|[^\n{_WIDE_ENDS}]+")

_SETTLED = re.compile(
    f"[0-9A-Za-z \u3000%()/+*#,，、；：…—·‘’“”（）【】《》〈〉「」『』〔〕～\\-{_WIDE_ENDS}"
    "\u3040-\u30ff\u3400-\u9fff０-９Ａ-Ｚａ-ｚ]*"
)
"""Text in which sentencex ends no sentence once the full-width ends are cut."""


def split_sentences(text: str, settings: SentenceSettings) -> list[str]:
    """Return the sentences of one document: stripped, none of them empty or with a line end."""
    return [each for each in map(str.strip, sentence_lines(text, settings).split("\n")) if each]


def sentence_lines(text: str, settings: SentenceSettings) -> str:
    """Return the sentences of one document, one a line, as they stand: spaces around them, too.

    A line end in the document ends a sentence; a line may be blank.
    """
    if settings.sentences == "line":
        return text
    language = language_code(settings.language)
    lines: list[str] = []
    if not text.isascii() and any(end in text for end in _COMMON_WIDE_ENDS):
        for stretch in _WIDE_SENTENCE.findall(text):
            if _SETTLED.fullmatch(stretch):
                lines.append(stretch)
            else:
                lines += _in_windows(stretch, language)
    else:
        for paragraph in text.split("\n"):
            if len(paragraph) <= _WINDOW_CHARACTERS:
                lines += _lossless(paragraph, language)
            else:
                lines += _in_windows(paragraph, language)
    return "\n".join(lines)


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
    # Most text is ASCII, where sentencex has nothing to stumble over.
    sentences = segment(language, text) if text.isascii() else _segment(text, language)
    if len(sentences) < 2 or sum(map(len, sentences)) != len(text):
        return [text]
    last = sentences[-1]
    if last[0] in _CLOSERS and not last.strip(_CLOSERS):
        # A bracket or quote that stands alone at the end belongs to its sentence.
        sentences[-2:] = [sentences[-2] + last]
    return sentences


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
