"""Documents in, their sentences out; every visible character is in exactly one sentence.

Full-width terminators end a sentence whatever follows: sentencex, which decides all else, joins one
to a following digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .segmenting import CLOSERS, sentences_of, split_paragraphs
from .settings import SentenceSettings, language_code

_WIDE_ENDS = "。！？｡"
_COMMON_WIDE_ENDS = {each.encode() for each in "。！？"}
_THEIR_FIRST_BYTES = {each[:1] for each in _COMMON_WIDE_ENDS}
_WIDE_SENTENCE = re.compile(f"[^\n{_WIDE_ENDS}]*[{_WIDE_ENDS}]+[{CLOSERS}]*|[^\n{_WIDE_ENDS}]+")

_SETTLED = re.compile(
    f"[0-9A-Za-z \u3000%()/+*#,，、；：…—·‘’“”（）【】《》〈〉「」『』〔〕～\\-{_WIDE_ENDS}"
    "\u3040-\u30ff\u3400-\u9fff０-９Ａ-Ｚａ-ｚ]*"
)
"""Text in which sentencex ends no sentence once the full-width ends are cut."""


def split_sentences(text: str, settings: SentenceSettings) -> list[str]:
    """Return the sentences of one document: stripped, none of them empty or with a line end."""
    lines = sentence_lines(text.encode(), settings).decode()
    return [each for each in map(str.strip, lines.split("\n")) if each]


def sentence_lines(document: bytes, settings: SentenceSettings) -> bytes:
    """Return the sentences of one document, one a line, as they stand: spaces around them, too.

    A line end in the document ends a sentence; a line may be blank. Both are UTF-8.
    """
    if settings.sentences == "line":
        return document
    language = language_code(settings.language)
    if _has_wide_ends(document):
        return "\n".join(_split_at_wide_ends(document.decode(), language)).encode()
    return split_paragraphs(document, language)


def _has_wide_ends(document: bytes) -> bool:
    # Looking for single bytes first is ten times as fast, and most text has neither of them.
    return any(first in document for first in _THEIR_FIRST_BYTES) and any(
        end in document for end in _COMMON_WIDE_ENDS
    )


def _split_at_wide_ends(text: str, language: str) -> Iterator[str]:
    for stretch in _WIDE_SENTENCE.findall(text):
        if _SETTLED.fullmatch(stretch):
            yield stretch
        else:
            yield from sentences_of(stretch, language)
