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

from .characters import Border, Characters
from .vocabulary import Normalization

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

BLOCK_BYTES = 1 << 19
"""Text taken at a time: small enough that the arrays about it stay in the processor's caches."""
BATCH_WORDS = 1 << 17
"""Words looked up at a time; only a block without whitespace can have more."""
PADDING = 16
"""Zero bytes after the text of a block, so that two 8-byte reads at any word stay inside."""

# What a byte is to the words around it, in bits: it begins one unless it stands in one already;
# whatever follows it begins one; it is one by itself.
_BEGINS, _ENDS, _ISOLATED = 1, 2, 8
_SPACE = _ENDS
_INSIDE = 0
"""A byte of a character of several, but for its first and perhaps its last."""

# A character of several bytes has the class of its first and, in the higher bits, of its last.
_FIRST_BYTE, _LAST_BYTE_SHIFT = 15, 4
_WIDE_LETTER = _BEGINS | _INSIDE << _LAST_BYTE_SHIFT
_WIDE_SPACE = _SPACE | _ENDS << _LAST_BYTE_SHIFT
_WIDE_MARK = _ISOLATED | _ENDS << _LAST_BYTE_SHIFT
_CLASS_OF_BORDER = {
    Border.NONE: _WIDE_LETTER,
    Border.SPACE: _WIDE_SPACE,
    Border.ISOLATED: _WIDE_MARK,
}
_UNKNOWN = 255

_ASCII_SPACE = frozenset(b"\t\n\r ")
_ASCII_PUNCTUATION = frozenset(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# All other ASCII controls stay with their word: normalisation deletes them.
_BYTE_CLASS = bytes(
    _SPACE
    if each in _ASCII_SPACE
    else _ISOLATED | _ENDS
    if each in _ASCII_PUNCTUATION
    else _INSIDE
    if 0x80 <= each < 0xC0
    else _BEGINS
    for each in range(256)
)
# White space becomes zeros, of which a key of bytes doesn't tell how many come after its word.
_AS_IT_IS = bytes(0 if each in _ASCII_SPACE else each for each in range(256))
_LOWERCASE = _AS_IT_IS.lower()
_UTF8_LEADS = ((2, 0xC0, 0xDF), (3, 0xE0, 0xEF), (4, 0xF0, 0xF7))
"""Bytes of a UTF-8 character, and the range its first byte lies in."""


class Words(NamedTuple):
    """The raw words of a block of text, in order: `text[starts[i]:stops[i]]` less its zeros."""

    text: Bytes
    """The block, ASCII letters lower-cased if the normalisation says so, white space and PADDING
    more bytes zero."""
    starts: Positions
    """(W,) int64"""
    stops: Positions
    """(W,) int64: where the next word starts, so that one search finds both."""

    def select(self, which: Positions | slice) -> Words:
        """Keep the words at these indices."""
        return Words(self.text, self.starts[which], self.stops[which])

    def batches(self, size: int) -> Iterator[Words]:
        """Yield the words in order, at most `size` at a time; of no words one empty batch."""
        for start in range(0, max(len(self.starts), 1), size):
            yield self.select(slice(start, start + size))

    def to_list(self) -> list[bytes]:
        """Copy each word out of the text."""
        text = self.text.data
        return [
            bytes(text[a:b]).rstrip(b"\0")
            for a, b in zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        ]


class Segmenter:
    """Cuts text into raw words, at the borders that `characters` knows of."""

    def __init__(self, normalization: Normalization, characters: Characters | None = None) -> None:
        # Lower-casing ASCII letters first changes nothing that normalisation does later.
        self._letters = _LOWERCASE if normalization.lowercase else _AS_IT_IS
        self._characters = characters or Characters(normalization)
        self._class_of = np.full(0x110000, _UNKNOWN, np.uint8)

    def words(self, block: bytes) -> Words:
        """Cut a block of valid UTF-8 without NUL; the block's ends are borders too."""
        # A space in front, after which the first word begins.
        spaced = bytearray(b"".join((b" ", block, bytes(PADDING))))
        text = np.frombuffer(spaced.translate(self._letters), np.uint8)[1:]
        classes = np.frombuffer(spaced.translate(_BYTE_CLASS), np.uint8)[: len(block) + 1]
        if not block.isascii():
            self._mark_characters(text, classes[1:])
        borders = np.append(_starts(classes), len(block))
        return Words(text, borders[:-1], borders[1:])

    def _mark_characters(self, text: Bytes, classes: Bytes) -> None:
        """Correct both where a character of several bytes is no part of a word."""
        first_bytes = np.flatnonzero(text >= 0xC0)
        # Element i is the four bytes from i on.
        characters = np.ndarray(len(text) - 3, "<u4", text, strides=(1,))[first_bytes]
        leads = characters.astype(np.uint8)  # the lowest byte
        for width, lowest, highest in _UTF8_LEADS:
            which = np.flatnonzero((leads >= lowest) & (leads <= highest))
            if not len(which):
                continue
            firsts, bits = first_bytes.take(which), characters.take(which)
            code_points = bits & np.uint32(0x7F >> width)
            for _ in range(1, width):
                bits >>= 8
                code_points <<= 6
                code_points |= bits & 0x3F
            kinds = self._classes_of(code_points)
            classes[firsts] = kinds & _FIRST_BYTE
            classes[firsts + (width - 1)] = kinds >> _LAST_BYTE_SHIFT
            spaces = firsts[kinds == _WIDE_SPACE]
            for offset in range(width):
                text[spaces + offset] = 0

    def _classes_of(self, code_points: npt.NDArray[np.uint32]) -> Bytes:
        kinds = self._class_of.take(code_points)
        if (kinds == _UNKNOWN).any():
            for each in np.unique(code_points[kinds == _UNKNOWN]).tolist():
                self._class_of[each] = _CLASS_OF_BORDER[self._characters[chr(each)].border]
            kinds = self._class_of.take(code_points)
        return kinds


def _starts(classes: Bytes) -> Positions:
    """Find where words start from each byte's class, the first of which is of no word."""
    own, before = classes[1:], classes[:-1]
    return np.flatnonzero(((own & (before >> 1)) | (own & _ISOLATED)) != 0)


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
