"""Labels that are numbers: a score of a text, or of how alike two texts are."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings
from .columns import Columns, column
from .examples import Examples, Known
from .texts import TextRow, read_texts

REGRESSION = "regression"


def read_numbers(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[TextRow]:
    """Read rows of a number each.

    Raises:
        BadInput: a label isn't a finite number, or is missing where it is needed.
    """
    ignored = set(settings.ignore_label)

    def read_labels(name: str) -> Sequence[float | None]:
        if name not in table.columns and not labelled:
            return [None] * len(table)
        values = column(table, name, hint="Name it with --label-column.")
        numbers = [
            _number(each, table.place(row), name, ignored) for row, each in enumerate(values)
        ]
        if labelled:
            for row, number in enumerate(numbers):
                if number is None and str(values[row]).strip() not in ignored:
                    raise BadInput(
                        f"{table.place(row)}: no label in the column {name!r}; expected a number.",
                        hint="Label the row or take it out. Only a --test file may lack labels.",
                    )
        return numbers

    return read_texts(table, columns, read_labels)


def _number(value: Any, place: str, name: str, ignored: set[str]) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if str(value).strip() in ignored:
        return None
    try:
        # Python also reads 1_000, which nobody means.
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(
            f"{place}: {json.dumps(value, ensure_ascii=False, default=str):.40} in the column "
            f"{name!r}; expected a number.",
            hint="Classes are learnt by --task sequence-classification. A word that means that "
            "there is no number is left out by --ignore-label.",
        )
    return number


def learn_numbers(train: Examples[TextRow], settings: FinetuneSettings) -> Known:
    """Return the range of the training rows' numbers, and their mean and deviation.

    Raises:
        BadInput: all rows have the same number.
    """
    numbers = [row.label for row in train.rows if row.label is not None]
    if len(set(numbers)) < 2:
        found = f"only the number {numbers[0]:g}" if numbers else "no labelled row"
        raise BadInput(
            f"{train.table.path} holds {found}; expected different ones.",
            hint="Is it the right --label-column?",
        )
    return Known(
        ("score",),
        {
            "problem_type": REGRESSION,
            "label_range": [min(numbers), max(numbers)],
            "label_mean": statistics.fmean(numbers),
            "label_sd": statistics.pstdev(numbers),
        },
    )
