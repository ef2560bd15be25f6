"""The rows of a file as a task understands them, each still knowing where it stands."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from ..reading.rows import Table


class Example(Protocol):
    """One row: what is read of it, and what is true of it."""

    @property
    def content(self) -> Hashable:
        """What the model sees: equal in two files where both hold the same example."""
        ...

    @property
    def is_labelled(self) -> bool:
        """Whether it is known what is true of it."""
        ...

    @property
    def teaches(self) -> bool:
        """Whether it can be learnt from."""
        ...


Row = TypeVar("Row", bound=Example)


@dataclass(frozen=True)
class Examples(Generic[Row]):
    """Some rows of a table, in its order."""

    table: Table
    rows: Sequence[Row]
    numbers: Sequence[int]
    """Which row of the table each is, counted from 0."""
    news: tuple[str, ...] = ()
    """What a person should know of the file."""

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, row: int) -> str:
        """Return where row `row` stands, for people."""
        return self.table.place(self.numbers[row])

    @property
    def num_labelled(self) -> int:
        """How many rows it is known of what is true."""
        return sum(row.is_labelled for row in self.rows)

    def select(self, rows: Sequence[int]) -> Examples[Row]:
        """Return some of the rows, in the order given."""
        return replace(
            self,
            rows=[self.rows[row] for row in rows],
            numbers=[self.numbers[row] for row in rows],
        )

    def to_learn_from(self) -> Examples[Row]:
        """Return the rows that can be learnt from: it is known what is true of them."""
        return self.select([place for place, row in enumerate(self.rows) if row.teaches])

    def num_also_in(self, other: Examples[Row]) -> int:
        """Count the rows that another file holds too, whatever their labels."""
        known = {row.content for row in other.rows}
        return sum(row.content in known for row in self.rows)


@dataclass(frozen=True)
class Known:
    """What the training rows teach before anything is learnt: labels, ranges, conventions."""

    labels: tuple[str, ...] = ()
    """In the order of their ids."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What of it the model's config.json keeps."""
    reads: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What of it says how files are to be read."""

    @property
    def label_ids(self) -> dict[str, int]:
        """The place of each label."""
        return {name: id for id, name in enumerate(self.labels)}


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names as a person reads them, the first of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
