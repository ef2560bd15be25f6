"""Rows turned into texts and labels, each checked where it stands."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from .columns import Columns, column
from .rows import Table

_NO_GOLD = "-"
"""What SNLI and its kin write where annotators didn't agree."""
_UNLABELLED = -1
_LONGEST_NUMBER = 18
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Examples:
    """The texts of a table's rows and their labels; None stands where a row has no label."""

    table: Table
    texts: Sequence[str]
    text_pairs: Sequence[str] | None
    labels: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def num_labelled(self) -> int:
        """How many rows have a label."""
        return sum(label is not None for label in self.labels)

    def labelled(self) -> Examples:
        """Return the rows that have a label."""
        kept = [row for row, label in enumerate(self.labels) if label is not None]
        pairs = self.text_pairs
        return Examples(
            self.table,
            [self.texts[row] for row in kept],
            None if pairs is None else [pairs[row] for row in kept],
            [self.labels[row] for row in kept],
        )

    def num_also_in(self, other: Examples) -> int:
        """Count the rows whose text, with its pair, is among another file's."""
        known = set(other._rows())
        return sum(each in known for each in self._rows())

    def label_ids(self, names: Sequence[str]) -> list[int]:
        """Return each label's place among `names`, -1 for a row without.

        Raises:
            BadInput: a label isn't among them.
        """
        ids: dict[str | None, int] = {name: id for id, name in enumerate(names)}
        ids[None] = _UNLABELLED
        for row, label in enumerate(self.labels):
            if label not in ids:
                raise BadInput(
                    f"{self.table.place(row)}: the label {label!r} was never seen in training; "
                    f"known are {_listed(names)}.",
                    hint="Mend the label, or add rows with it to the training file. One that means "
                    f"that there is no label is left out by --ignore-label={label}",
                )
        return [ids[label] for label in self.labels]

    def _rows(self) -> Sequence[tuple[str, str | None]]:
        return list(zip(self.texts, self.text_pairs or [None] * len(self), strict=True))


def read_examples(
    table: Table, columns: Columns, *, ignore_label: Sequence[str] = (), labelled: bool
) -> Examples:
    """Take texts and labels out of a table; white space around a label is not part of it.

    With `labelled` every row needs a label or one of those to ignore, and the column its name;
    without, labels may be missing, one or all.

    Raises:
        BadInput: a column, a text or a needed label is missing or isn't text, with its place.
    """
    texts = _texts(table, columns.text)
    pairs = None if columns.text_pair is None else _texts(table, columns.text_pair)
    if columns.label not in table.columns and not labelled:
        return Examples(table, texts, pairs, [None] * len(texts))
    values = column(table, columns.label, hint="Name it with --label-column.")
    labels = [_label(table, row, columns.label, value) for row, value in enumerate(values)]
    if _NO_GOLD in labels and _NO_GOLD not in ignore_label and "+" not in labels:
        raise BadInput(
            f"{table.place(labels.index(_NO_GOLD))}: the label is {_NO_GOLD!r}, as data sets write "
            f"where there is none ({labels.count(_NO_GOLD):,} such rows).",
            hint=f"Leave these rows out of training and scores with --ignore-label={_NO_GOLD}",
        )
    if labelled and None in labels:
        raise BadInput(
            f"{table.place(labels.index(None))}: no label in the column {columns.label!r}; "
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
    return Examples(table, texts, pairs, kept)


def label_names(train: Examples) -> tuple[str, ...]:
    """Return the distinct labels in order: by number where all are whole numbers, else by text.

    Raises:
        BadInput: there is nothing to tell apart, or each row has a label of its own.
    """
    counts = Counter(label for label in train.labels if label is not None)
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
            hint="Is it the right --label-column? Classes are needed, not numbers or texts.",
        )
    numeric = all(_is_whole_number(name) for name in counts)
    return tuple(sorted(counts, key=(lambda name: (int(name), name)) if numeric else str))


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


def _is_whole_number(name: str) -> bool:
    # Longer runs of digits are codes, and Python refuses to read the longest.
    return len(name) <= _LONGEST_NUMBER and name.removeprefix("-").isdecimal()


def _texts(table: Table, name: str) -> list[str]:
    values = column(table, name, hint="Every file needs the columns of the training file.")
    for row, value in enumerate(values):
        if not isinstance(value, str) or not value.strip():
            found = "no text" if value is None or isinstance(value, str) else f"{value!r:.40}"
            raise BadInput(
                f"{table.place(row)}: {found} in the column {name!r}; expected a text in each row.",
                hint="Write the text or take the row out.",
            )
        if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise BadInput(
                f"{table.place(row)}: half a surrogate pair in the column {name!r}; expected "
                "Unicode text.",
                hint="Write the file again with a JSON library.",
            )
    return list(values)


def _label(table: Table, row: int, name: str, value: Any) -> str | None:
    """Return a cell's label; JSON's numbers, true and false are labels by the names they have."""
    if isinstance(value, list | dict):
        raise BadInput(
            f"{table.place(row)}: {json.dumps(value, ensure_ascii=False):.60} in the column "
            f"{name!r}; expected one label.",
            hint="Each row has one label: a text, a whole number, true or false.",
        )
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(
            f"{table.place(row)}: {json.dumps(value)} in the column {name!r}; expected a label.",
            hint="Label the row or take it out; in a --test file null says that there is no label. "
            "pandas writes NaN for a missing value.",
        )
    return (value if isinstance(value, str) else json.dumps(value)).strip() or None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(repr(name) for name in names[:20]) + more
