"""What the library does to each character, asked once: the border it makes, what becomes of it.

Normalisation goes character by character but for one thing: a canonical decomposition puts
combining marks in order. So what a word becomes is known without asking for the word itself, unless
a mark that stays is among it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from tokenizers import pre_tokenizers

from .library import library_normalizer
from .vocabulary import Normalization

_LINE_END = ord("\n")

_HARD = "\0"
"""Stands for a character that a word has to be asked for: no raw word holds it."""


class Border(Enum):
    """Whether words end around a character."""

    NONE = 0
    SPACE = 1
    """It is none of any word."""
    ISOLATED = 2
    """It is a word by itself."""


class Character(NamedTuple):
    """A character between two letters."""

    border: Border
    normalized: str | None
    """What becomes of it, wherever in a word it stands; None if that can't be told."""


class Characters:
    """Knows what normalisation makes of characters, and so of most words."""

    def __init__(self, normalization: Normalization) -> None:
        self._normalizer = library_normalizer(normalization)
        self._pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._known: dict[str, Character] = {}
        self._normalized = _Normalized(self)

    def __getitem__(self, character: str) -> Character:
        if character not in self._known:
            self._known[character] = self._ask(character)
        return self._known[character]

    def normalized(self, words: Sequence[bytes]) -> bytes:
        r"""Return what raw words become, each with a line end after it.

        A word for which the library has to be asked has a zero byte in it.
        """
        lines = b"".join(word + b"\n" for word in words).decode()
        return lines.translate(self._normalized).encode()

    def words_of(self, words: Sequence[bytes]) -> Iterator[list[str]]:
        """Yield the words that each raw word becomes: mostly one, perhaps none or several."""
        becoming = self.normalized(words).decode().split("\n")[:-1]
        for word, normalized in zip(words, becoming, strict=True):
            if _HARD in normalized:
                yield self._words_of(word.decode())
            else:
                yield [normalized] if normalized else []

    def _words_of(self, text: str) -> list[str]:
        normalized = self._normalizer.normalize_str(text)
        return [word for word, _ in self._pre_tokenizer.pre_tokenize_str(normalized)]

    def _ask(self, character: str) -> Character:
        words = self._words_of(f"a{character}a")
        if words == ["a", "a"]:
            return Character(Border.SPACE, None)
        if len(words) == 3 and words[0] == words[2] == "a":
            return Character(Border.ISOLATED, _in_any_order(words[1]))
        is_inside = len(words) == 1 and words[0][:1] == words[0][-1:] == "a"
        return Character(Border.NONE, _in_any_order(words[0][1:-1]) if is_inside else None)


class _Normalized(dict[int, str]):
    """What `str.translate` is to put for each character."""

    def __init__(self, characters: Characters) -> None:
        super().__init__({_LINE_END: "\n"})
        self._characters = characters

    def __missing__(self, code_point: int) -> str:
        normalized = self._characters[chr(code_point)].normalized
        self[code_point] = found = _HARD if normalized is None else normalized
        return found


def _in_any_order(normalized: str) -> str | None:
    """Return it if no mark beside it can move any of it: none of it is one, old or unknown."""
    is_fixed = all(
        unicodedata.combining(each) == 0 and unicodedata.category(each) != "Cn"
        for each in normalized
    )
    return normalized if is_fixed else None
