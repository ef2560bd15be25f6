"""Rows as a person knows them: the texts of each, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from ..finetune.reading.rows import Table


@dataclass(frozen=True)
class Row:
    """A text, or a pair, or a question with its choices; `number` counts from 1."""

    number: int
    text: str
    text_pair: str | None = None
    place: str = ""
    """Where it stands, for messages"""
    choices: tuple[str, ...] = ()


def rows_of(table: Table, text: str, text_pair: str | None) -> list[Row]:
    """Return a table's texts or pairs.

    Raises:
        BadInput: a row has none, with its place.
    """
    texts = _texts(table, text)
    pairs: Sequence[str | None] = [None] * len(table)
    if text_pair is not None:
        pairs = _texts(table, text_pair)
    return [
        Row(table.first + number + 1, *each, table.place(number))
        for number, each in enumerate(zip(texts, pairs, strict=True))
    ]


def _texts(table: Table, name: str) -> list[str]:
    values: Sequence[Any] = table.columns[name]
    for row, value in enumerate(values):
        if isinstance(value, str) and (value.isascii() or not any(map(_is_half, value))):
            continue
        found = "no text" if value is None else f"{value!a:.40}"
        raise BadInput(
            f"{table.place(row)}: {found} in the column {name!r}; expected a text in each row."
        )
    return list(values)


def _is_half(character: str) -> bool:
    """Whether it is half of a surrogate pair, which no UTF-8 can say."""
    return "\ud800" <= character <= "\udfff"
