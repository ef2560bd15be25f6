"""A text cut into the tokens that are tagged, each with its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_STRETCHES = re.compile(r"\S+")
_HAN = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
)
"""BERT's: each character is a word of its own"""
_PARTS = re.compile(f"[{_HAN}]|[^{_HAN}]+")


@dataclass(frozen=True)
class Token:
    """A word or a mark, and where it stands in its text, in characters."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where what follows begins."""
        return self.start + len(self.text)


def tokens_of(text: str) -> list[Token]:
    """Cut a text at white space; marks around words, and Chinese characters, stand alone.

    Marks within a word, as in `U.S.A` or `don't`, are part of it, as in most tagged text.
    """
    return [
        token
        for stretch in _STRETCHES.finditer(text)
        for part in _PARTS.finditer(stretch[0])
        for token in _without_marks(part[0], stretch.start() + part.start())
    ]


def _without_marks(part: str, start: int) -> Iterator[Token]:
    first, last = 0, len(part)
    while first < last and _is_mark(part[first]):
        yield Token(part[first], start + first)
        first += 1
    while last > first and _is_mark(part[last - 1]):
        last -= 1
    if first < last:
        yield Token(part[first:last], start + first)
    for place in range(last, len(part)):
        yield Token(part[place], start + place)


def _is_mark(character: str) -> bool:
    """Whether BERT takes a character for punctuation: also ASCII's symbols."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and not character.isspace()
    return unicodedata.category(character).startswith("P")
