"""Rows of a text, or a pair of texts, and a label of whatever kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from ..reading.rows import Table
from .cells import texts_of
from .columns import Columns
from .examples import Examples


@dataclass(frozen=True)
class TextRow:
    """A text, the text it is judged with, and its label: a name, several names or a number."""

    text: str
    text_pair: str | None
    label: Any
    """None where there is none"""

    @property
    def content(self) -> Hashable:
        """The texts."""
        return self.text, self.text_pair

    @property
    def is_labelled(self) -> bool:
        """Whether there is a label."""
        return self.label is not None

    @property
    def teaches(self) -> bool:
        """Whether it can be learnt from: wherever it is labelled."""
        return self.is_labelled


def read_texts(
    table: Table, columns: Columns, read_labels: Callable[[str], Sequence[Any]]
) -> Examples[TextRow]:
    """Take the texts out of a table, and the labels that `read_labels` finds in their column.

    Raises:
        BadInput: a column, a text or a needed label is missing or isn't one, with its place.
    """
    assert columns.text is not None
    texts = texts_of(table, columns.text)
    pairs: Sequence[str | None] = [None] * len(texts)
    if columns.text_pair is not None:
        pairs = texts_of(table, columns.text_pair)
    labels = read_labels(columns.label)
    rows = [TextRow(*each) for each in zip(texts, pairs, labels, strict=True)]
    return Examples(table, rows, range(len(rows)))
