"""Single cells of a table turned into text or a label, or refused with their place."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from .columns import column

NO_GOLD = "-"
"""What SNLI and its kin write where annotators didn't agree."""


def texts_of(table: Table, name: str) -> list[str]:
    """Return a column of texts, none of them empty."""
    values = column(table, name, hint="Every file needs the columns of the training file.")
    for row, value in enumerate(values):
        check_text(value, f"{table.place(row)}", name)
    return list(values)


def check_text(value: Any, place: str, name: str) -> None:
    """Raise `BadInput` where a value isn't a text with something in it."""
    if not isinstance(value, str) or not value.strip():
        found = "no text" if value is None or isinstance(value, str) else f"{value!r:.40}"
        raise BadInput(
            f"{place}: {found} in the column {name!r}; expected a text in each row.",
            hint="Write the text or take the row out.",
        )
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        raise BadInput(
            f"{place}: half a surrogate pair in the column {name!r}; expected Unicode text.",
            hint="Write the file again with a JSON library.",
        )


def label_of(value: Any, place: str, name: str) -> str | None:
    """Return a cell's label; numbers, true and false are labels by the names JSON has for them.

    What JSON doesn't know, such as Parquet's decimals and dates, is named as Python writes it.
    """
    if isinstance(value, list | dict):
        raise BadInput(
            f"{place}: {json.dumps(value, ensure_ascii=False, default=str):.60} in the column "
            f"{name!r}; expected one label.",
            hint="Each row has one label: a text, a whole number, true or false. Lists are read "
            "with --problem-type multi_label_classification.",
        )
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(
            f"{place}: {json.dumps(value)} in the column {name!r}; expected a label.",
            hint="Label the row or take it out; in a --test file null says that there is no label. "
            "pandas writes NaN for a missing value.",
        )
    if isinstance(value, bytes):
        raise BadInput(
            f"{place}: {value!r:.40}, bytes in the column {name!r}; expected a label.",
            hint="Write the column as text: bytes don't tell which characters they are.",
        )
    named = json.dumps(value) if isinstance(value, bool | int | float) else str(value)
    return named.strip() or None


def labels_of(
    table: Table, name: str, *, ignore_label: Sequence[str] = (), labelled: bool
) -> list[str | None]:
    """Return a column of labels, None where a row has none or one to ignore.

    With `labelled` every row needs a label or one of those to ignore, and the column its name;
    without, labels may be missing, one or all.
    """
    if name not in table.columns and not labelled:
        return [None] * len(table)
    values = column(table, name, hint="Name it with --label-column.")
    labels = [label_of(value, table.place(row), name) for row, value in enumerate(values)]
    if NO_GOLD in labels and NO_GOLD not in ignore_label and "+" not in labels:
        raise BadInput(
            f"{table.place(labels.index(NO_GOLD))}: the label is {NO_GOLD!r}, as data sets write "
            f"where there is none ({labels.count(NO_GOLD):,} such rows).",
            hint=f"Leave these rows out of training and scores with --ignore-label={NO_GOLD}",
        )
    if labelled and None in labels:
        raise BadInput(
            f"{table.place(labels.index(None))}: no label in the column {name!r}; "
            "expected one in each row.",
            hint="Label the row or take it out. Only a --test file may lack labels.",
        )
    ignored = {*ignore_label, None}
    kept = [None if each in ignored else each for each in labels]
    if labelled and not any(kept):
        raise BadInput(
            f"{table.path}: no row has a label; all of them are ignored.",
            hint="Leave the file out, or ignore fewer labels with --ignore-label.",
        )
    return kept
