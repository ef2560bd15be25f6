"""Where a plain file can be cut so that every document belongs to exactly one range.

A range of a file begins at the first boundary at or after its nominal start and ends at the first
one at or after its nominal end. Both neighbours ask the same pure function, so they agree.
"""

from __future__ import annotations

import re
from typing import Literal

from .handles import Handle
from .settings import CorpusSettings
from .stripping import SPACES

_WHITESPACE = b"|".join(map(re.escape, SPACES))
_BLANK_CHARACTERS = 16
"""A longer blank line still ends a document; the file just isn't cut there."""

_LINE_END = re.compile(b"\n")
_BLANK_LINE = re.compile(b"\n(?:(?:%b){0,%d}\n)" % (_WHITESPACE, _BLANK_CHARACTERS))
_TWO_BLANK_LINES = re.compile(b"\n(?:(?:%b){0,%d}\n){2}" % (_WHITESPACE, _BLANK_CHARACTERS))
_LONGEST_BOUNDARY = 1 + 2 * (3 * _BLANK_CHARACTERS + 1)

_WINDOW_BYTES = 1 << 16


def boundary_pattern(kind: Literal["text", "jsonl"], settings: CorpusSettings) -> re.Pattern[bytes]:
    """Return what stands before a boundary: a line end, then whatever else ends a document.

    The match that ends first is also the one that begins first, so that boundaries found from
    growing positions never go back.
    """
    if kind == "jsonl" or settings.documents == "line":
        return _LINE_END
    return _TWO_BLANK_LINES if settings.unwrap else _BLANK_LINE


def first_boundary(
    handle: Handle,
    position: int,
    *,
    size: int,
    pattern: re.Pattern[bytes],
    before: int | None = None,
) -> int | None:
    """Return the smallest offset ≥ `position` at which a document may begin, `size` if none.

    None says that the boundary is also the one for `before`: the range from `position` to `before`
    is inside one document. Reads no further than it must.
    """
    if position <= 0:
        return 0
    start = position - 1  # the line end before the position may be part of a boundary
    while start < size:
        window = handle.pread(_WINDOW_BYTES, start)
        if found := pattern.search(window):
            if before is not None and start + found.start() >= before - 1:
                return None
            return start + found.end()
        if before is not None and start >= before - 1:
            return None
        if start + len(window) >= size:
            break
        start += len(window) - _LONGEST_BOUNDARY + 1
    return size
