"""Lines of text looked at thousands at a time: how many, which are blank, which need stripping.

Without an object for a line, and much faster than a search for the bytes of a line end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

SPACES = tuple(
    chr(code).encode()
    for code in range(0x3001)  # no character beyond U+3000 is white space; a test says so
    if chr(code).isspace() and code != 0x0A
)
"""White space in UTF-8, but for the line end: each has one to three bytes."""

_LINE_END = ord("\n")
_IS_ASCII_SPACE = np.zeros(256, bool)
_IS_ASCII_SPACE[[each[0] for each in SPACES if len(each) == 1]] = True
_WIDE_SPACES = {
    size: np.array([int.from_bytes(each, "big") for each in SPACES if len(each) == size])
    for size in (2, 3)
}


def count_line_ends(data: bytes) -> int:
    """Return how many line ends there are."""
    return int(np.count_nonzero(_is_line_end(data)))


def places_of_blank_lines(data: bytes) -> list[int]:
    """Return where two line ends follow each other: the first one's place."""
    is_end = _is_line_end(data)
    return np.flatnonzero(is_end[:-1] & is_end[1:]).tolist()


def stripped_lines(data: bytes) -> bytes:
    """Return the lines of valid UTF-8 text, each without white space around it, as `str.strip`.

    Nearly always there is none, and `data` itself comes back.
    """
    if not _has_space_at_an_edge(data):
        return data
    return "\n".join(map(str.strip, data.decode().split("\n"))).encode()


def _is_line_end(data: bytes) -> npt.NDArray[np.bool_]:
    return np.frombuffer(data, np.uint8) == _LINE_END


def _has_space_at_an_edge(data: bytes) -> bool:
    if not data:
        return False
    text = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(text == _LINE_END)
    firsts = np.concatenate(([0], line_ends + 1))
    lasts = np.concatenate((line_ends, [len(text)])) - 1
    # Of a blank line these are line ends; beyond the text its first or last byte is taken.
    edges = [text.take(places, mode="clip") for places in (firsts, lasts)]
    if any(_IS_ASCII_SPACE.take(each).any() for each in edges):
        return True
    wide_firsts, wide_lasts = (
        places[each >= 0x80] for places, each in zip((firsts, lasts), edges, strict=True)
    )
    return any(
        (_characters(text, starts, size)[:, None] == spaces).any()
        for size, spaces in _WIDE_SPACES.items()
        for starts in (wide_firsts, wide_lasts - size + 1)
        if len(starts)
    )


def _characters(text: Bytes, starts: Positions, size: int) -> npt.NDArray[np.int64]:
    """Return the bytes from each start as one number."""
    code = np.zeros(len(starts), np.int64)
    for offset in range(size):
        code *= 256
        code += text.take(starts + offset, mode="clip")
    return code
