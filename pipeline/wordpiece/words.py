"""Cut UTF-8 text into words as BERT does, without a Python object for a word.

A word here is *raw*: a run of bytes between BERT's borders, which are whitespace and both sides of
a character that BERT isolates (punctuation, CJK). What normalisation does further, to accents
or controls, it does inside one raw word, so equal raw words give equal pieces wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import pre_tokenizers

from .library import library_normalizer
from .vocabulary import Normalization

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

BLOCK_BYTES = 1 << 19
"""Text taken at a time: small enough that the arrays about it stay in the processor's caches."""
BATCH_WORDS = 1 << 17
"""Words looked up at a time; only a block without whitespace can have more."""
PADDING = 16
"""Zero bytes after the text of a block, so that two 8-byte reads at any word stay inside."""

# What a byte is to the words around it. A character of several bytes that is a word by itself is
# ISOLATED at its first byte and REST at the others.
_SPACE, _WORD, _ISOLATED, _REST = range(4)
_UNKNOWN = 255

_ASCII_SPACE = frozenset(b"\t\n\r ")
_ASCII_PUNCTUATION = frozenset(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# All other ASCII controls stay with their word: normalisation deletes them.
_BYTE_CLASS = bytes(
    _SPACE if each in _ASCII_SPACE else _ISOLATED if each in _ASCII_PUNCTUATION else _WORD
    for each in range(256)
)
_UTF8_LEADS = ((2, 0xC0, 0xDF), (3, 0xE0, 0xEF), (4, 0xF0, 0xF7))
"""Bytes of a UTF-8 character, and the range its first byte lies in."""


class Words(NamedTuple):
    """The raw words of a block of text, in order: `text[starts[i]:ends[i]]`."""

    text: bytes
    """The block, ASCII letters lower-cased if the normalisation says so, and PADDING zeros."""
    starts: Positions
    """(W,) int64"""
    ends: Positions
    """(W,) int64"""

    def select(self, which: Positions | slice) -> Words:
        """Keep the words at these indices."""
        return Words(self.text, self.starts[which], self.ends[which])

    def batches(self, size: int) -> Iterator[Words]:
        """Yield the words in order, at most `size` at a time."""
        for start in range(0, len(self.starts), size):
            yield self.select(slice(start, start + size))

    def to_list(self) -> list[bytes]:
        """Copy each word out of the text."""
        text = self.text
        return [text[a:b] for a, b in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]


class Segmenter:
    """Cuts text into raw words; remembers what the library does at each non-ASCII character."""

    def __init__(self, normalization: Normalization) -> None:
        self._lowercase = normalization.lowercase
        self._normalizer = library_normalizer(normalization)
        self._pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._class_of = np.full(0x110000, _UNKNOWN, np.uint8)

    def words(self, block: bytes) -> Words:
        """Cut a block of valid UTF-8 without NUL; the block's ends are borders too."""
        classes = np.frombuffer(bytearray(block.translate(_BYTE_CLASS)), np.uint8)
        if not block.isascii():
            self._mark_characters(np.frombuffer(block, np.uint8), classes)
        # Lower-casing ASCII letters first changes nothing that normalisation does later, and
        # `bytes.lower` leaves all other bytes alone.
        text = (block.lower() if self._lowercase else block) + bytes(PADDING)
        return Words(text, *_borders(classes))

    def _mark_characters(self, text: Bytes, classes: Bytes) -> None:
        """Correct `classes` where a character of several bytes is no part of a word."""
        first_bytes = np.flatnonzero(text >= 0xC0)
        leads = text[first_bytes]
        for width, lowest, highest in _UTF8_LEADS:
            firsts = first_bytes[(leads >= lowest) & (leads <= highest)]
            if not len(firsts):
                continue
            code_points = text[firsts].astype(np.int32) & (0x7F >> width)
            for offset in range(1, width):
                code_points = code_points << 6 | text[firsts + offset] & 0x3F
            kinds = self._classes_of(code_points)
            spaces, isolated = firsts[kinds == _SPACE], firsts[kinds == _ISOLATED]
            classes[isolated] = _ISOLATED
            for offset in range(1, width):
                classes[isolated + offset] = _REST
            for offset in range(width):
                classes[spaces + offset] = _SPACE

    def _classes_of(self, code_points: npt.NDArray[np.int32]) -> Bytes:
        kinds = self._class_of[code_points]
        if (kinds == _UNKNOWN).any():
            for each in np.unique(code_points[kinds == _UNKNOWN]).tolist():
                self._class_of[each] = self._ask_library(chr(each))
            kinds = self._class_of[code_points]
        return kinds

    def _ask_library(self, character: str) -> int:
        """Tell how the library treats a character between two letters.

        Whatever it does other than cutting there can wait until the word is encoded.
        """
        normalized = self._normalizer.normalize_str(f"a{character}a")
        words = [word for word, _ in self._pre_tokenizer.pre_tokenize_str(normalized)]
        if words == ["a", "a"]:
            return _SPACE
        if len(words) == 3 and words[0] == words[2] == "a":
            return _ISOLATED
        return _WORD


def _borders(classes: Bytes) -> tuple[Positions, Positions]:
    """Find where words start and where they end, exclusively, from each byte's class."""
    in_word = np.zeros(len(classes) + 2, bool)
    np.equal(classes, _WORD, out=in_word[1:-1])
    starts = in_word[1:-1] > in_word[:-2]
    starts |= classes == _ISOLATED
    ends = classes >= _ISOLATED
    ends[:-1] &= classes[1:] != _REST
    ends |= in_word[1:-1] > in_word[2:]
    return np.flatnonzero(starts), np.flatnonzero(ends) + 1


def split_blocks(text: bytes, block_bytes: int) -> Iterator[bytes]:
    """Cut text at whitespace into blocks of about `block_bytes`; a longer word makes a longer one.

    NULs, which normalisation deletes anyway, are gone.
    """
    text = text.replace(b"\0", b"")
    start = 0
    while start < len(text):
        stop = start + block_bytes
        if stop < len(text):
            stop = 1 + max(text.rfind(border, start, stop) for border in (b" ", b"\n"))
            if stop == 0:
                found = [text.find(border, start) for border in (b" ", b"\n")]
                stop = 1 + min((each for each in found if each >= 0), default=len(text) - 1)
        yield text[start:stop]
        start = stop


def is_plain(word: bytes) -> bool:
    """Whether normalisation leaves a raw word as it is: ASCII letters and digits, or one mark."""
    return word.isalnum() or (len(word) == 1 and word[0] in _ASCII_PUNCTUATION)
