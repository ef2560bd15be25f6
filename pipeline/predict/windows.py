"""Records gathered into tables of bounded size: no more than one is ever held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..finetune.reading.rows import Table
from .reading import Reading
from .records import Record

ROWS_AT_ONCE = 2048
_CHARACTERS_AT_ONCE = 1 << 21
"""Texts are cut, but only when they have become tokens."""


def windows(reading: Reading) -> Iterator[Table]:
    """Yield the rows of a source in tables, each bounded in rows and in text."""
    most = reading.rows_at_once or ROWS_AT_ONCE
    window: list[Record] = []
    characters = 0
    for record in reading.records:
        window.append(record)
        characters += sum(map(_characters, record.values.values()))
        if len(window) == most or characters >= _CHARACTERS_AT_ONCE:
            yield _table(reading, window)
            window, characters = [], 0
    if window:
        yield _table(reading, window)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_characters, value)) if isinstance(value, list) else 8


def _table(reading: Reading, window: Sequence[Record]) -> Table:
    names = dict.fromkeys(name for record in window for name in record.values)
    return Table(
        path=reading.path,
        fingerprint="",
        columns={name: [record.values.get(name) for record in window] for name in names},
        lines=[record.line for record in window] if window[0].line else [],
        first=window[0].number - 1,
    )
