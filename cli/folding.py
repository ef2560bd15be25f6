"""Styled text in, lines as wide as a terminal out, also where a language writes no spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
"""Chinese and Japanese, whose lines break between any two characters."""
_CLOSING = "、。，．！？：；）」』】》〉”’…"
"""What doesn't begin a line."""
_IN_MARK = r"[^\s\[\](){}]{0,20}"
_MARK = rf"(?:\[MASK→|\{{|\(){_IN_MARK}[{_WIDE}]{_IN_MARK}[\]}})]"
"""A predicted token among them, as `inspect` shows it."""
_UNIT = re.compile(rf"(?:{_MARK}|[{_WIDE}]|(?:(?!{_MARK})[^\s{_WIDE}])+|\s)[{_CLOSING}]*\s*")


def folded(text: Text, width: int, *, indent: int = 0) -> Text:
    """Return `text` in lines of `width` columns; those after the first begin `indent` columns in.

    It breaks between words or characters, as its language does, and never within a marked token.
    What is wider than a line begins where it stands and is cut.
    """
    room = width - indent
    if room < 2 or cell_len(text.plain) <= width:
        return text
    breaks: list[int] = []
    left = width
    for start, unit in _units(text.plain, room):
        if cell_len(unit.rstrip()) > left:
            breaks.append(start)
            left = room
        left -= cell_len(unit)
    lines = text.divide(breaks)
    for line in lines:
        line.rstrip()
    return Text("\n" + " " * indent).join(lines)


def _units(text: str, room: int) -> Iterator[tuple[int, str]]:
    """Yield what stays together and where it begins; its characters where it is too wide."""
    for found in _UNIT.finditer(text):
        unit = found.group()
        if cell_len(unit.rstrip()) <= room:
            yield found.start(), unit
        else:
            yield from enumerate(unit, start=found.start())
