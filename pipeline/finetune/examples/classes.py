"""Labels that are names: one a row, or any number of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings
from .cells import label_of, labels_of
from .columns import Columns, column
from .examples import Examples, Known, listed
from .texts import TextRow, read_texts

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
SEPARATOR = "|"
"""Between the labels of a row, where its cell is text."""
_LONGEST_NUMBER = 18
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUTHS = {"true": 1.0, "false": 0.0}


def has_several_labels(table: Table, columns: Columns) -> bool:
    """Whether rows have any number of labels: one has a list of them, or `|` between them."""
    values = table.columns.get(columns.label, ())
    return any(isinstance(each, list) for each in values) or any(
        SEPARATOR in each and all(part.strip() for part in each.split(SEPARATOR))
        for each in values
        if isinstance(each, str)
    )


def read_single(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[TextRow]:
    """Read rows of one label each; white space around a label is not part of it."""

    def read_labels(name: str) -> Sequence[str | None]:
        return labels_of(table, name, ignore_label=settings.ignore_label, labelled=labelled)

    return read_texts(table, columns, read_labels)


def read_several(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[TextRow]:
    """Read rows of any number of labels: tuples of names, without those to ignore.

    An empty list says that no label applies; an empty cell, that it isn't known which do.
    """

    def read_labels(name: str) -> Sequence[tuple[str, ...] | None]:
        if name not in table.columns and not labelled:
            return [None] * len(table)
        values = column(table, name, hint="Name it with --label-column.")
        labels = [_several(each, table.place(row), name) for row, each in enumerate(values)]
        if labelled and None in labels:
            raise BadInput(
                f"{table.place(labels.index(None))}: no label in the column {name!r}; expected "
                "one or several, or an empty list for none.",
                hint="Label the row or take it out. Only a --test file may lack labels.",
            )
        return [_without(each, settings.ignore_label) for each in labels]

    return read_texts(table, columns, read_labels)


def _without(labels: tuple[str, ...] | None, ignored: Sequence[str]) -> tuple[str, ...] | None:
    """Leave out labels to ignore; a row that had no others is one whose labels aren't known."""
    kept = tuple(label for label in labels or () if label not in ignored)
    return None if labels is None or (labels and not kept) else kept


def _several(value: Any, place: str, name: str) -> tuple[str, ...] | None:
    if isinstance(value, str):
        parts: Iterable[Any] = value.split(SEPARATOR) if value.strip() else ()
        if not parts:
            return None
    elif isinstance(value, list):
        parts = value
    else:
        label = label_of(value, place, name)
        return None if label is None else (label,)
    labels = [label_of(part, place, name) for part in parts]
    found = [label for label in labels if label is not None]
    if len(found) < len(labels) or len(set(found)) < len(found):
        raise BadInput(
            f"{place}: {json.dumps(value, ensure_ascii=False, default=str):.60} in the column "
            f"{name!r}; expected labels that are all there and all different.",
            hint=f"A list of names, or names with {SEPARATOR} between them.",
        )
    return tuple(found)


def learn_single(train: Examples[TextRow], settings: FinetuneSettings) -> Known:
    """Return the distinct labels in order: by number where all are whole numbers, else by text.

    Raises:
        BadInput: there is nothing to tell apart, or each row has a label of its own.
    """
    counts = Counter(row.label for row in train.rows if row.label is not None)
    if len(counts) < 2:
        found = f"only the label {next(iter(counts))!r}" if counts else "no labelled row"
        raise BadInput(
            f"{train.table.path} holds {found}; expected at least two classes.",
            hint="Is it the right --label-column?",
        )
    if max(counts.values()) == 1 and len(counts) > 2:
        raise BadInput(
            f"{train.table.path}: each of its {len(train):,} rows has a label of its own, so that "
            "there is nothing to learn.",
            hint="Is it the right --label-column? Classes are needed, not numbers or texts; "
            "numbers are learnt by --task regression.",
        )
    return Known(_in_order(counts), {"problem_type": SINGLE})


def learn_several(train: Examples[TextRow], settings: FinetuneSettings) -> Known:
    """Return the distinct labels in order, each a question of its own.

    Raises:
        BadInput: no row has any, or there are more labels than rows.
    """
    counts = Counter(label for row in train.rows if row.label is not None for label in row.label)
    if not counts:
        raise BadInput(
            f"{train.table.path}: no row has a label.", hint="Is it the right --label-column?"
        )
    if len(counts) > train.num_labelled:
        raise BadInput(
            f"{train.table.path} has {len(counts):,} different labels on {train.num_labelled:,} "
            "rows: there is nothing to learn.",
            hint="Is it the right --label-column?",
        )
    return Known(_in_order(counts), {"problem_type": MULTI})


def check_single(examples: Examples[TextRow], known: Known) -> None:
    """Raise `BadInput` for a label that wasn't among the training rows, with its place."""
    _check(examples, known, [() if row.label is None else (row.label,) for row in examples.rows])


def check_several(examples: Examples[TextRow], known: Known) -> None:
    """Raise `BadInput` for a label that wasn't among the training rows, with its place."""
    _check(examples, known, [row.label or () for row in examples.rows])


def _check(examples: Examples[TextRow], known: Known, labels: Sequence[Sequence[str]]) -> None:
    names = set(known.labels)
    for row, several in enumerate(labels):
        for label in several:
            if label not in names:
                raise BadInput(
                    f"{examples.place(row)}: the label {label!r} was never seen in training; "
                    f"known are {listed(known.labels)}.",
                    hint="Mend the label, or add rows with it to the training file. One that means "
                    f"that there is no label is left out by --ignore-label={label}",
                )


def alike_labels(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that are one number, or truth value, written differently."""
    groups: dict[float, list[str]] = {}
    for name in names:
        value = _TRUTHS.get(name.lower())
        if value is None and len(name) <= _LONGEST_NUMBER and _NUMBER.fullmatch(name):
            value = float(name)
        if value is not None:
            groups.setdefault(value, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _in_order(counts: Mapping[str, int]) -> tuple[str, ...]:
    numeric = all(_is_whole_number(name) for name in counts)
    return tuple(sorted(counts, key=(lambda name: (int(name), name)) if numeric else str))


def _is_whole_number(name: str) -> bool:
    # Longer runs of digits are codes, and Python refuses to read the longest.
    return len(name) <= _LONGEST_NUMBER and name.removeprefix("-").isdecimal()
