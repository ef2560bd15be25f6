"""Shards read: any rows of them as flat numpy columns, by gathers from mapped memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Instances:
    """I instances, their columns one after another; all int64.

    `input_ids`: (T,); `lengths`: (I,) tokens of each; `segment_a_lengths`: (I,);
    `masked_lm_positions`, `masked_lm_ids`: (M,); `num_masked`: (I,); `next_sentence_labels`: (I,).
    """

    input_ids: Ints
    lengths: Ints
    segment_a_lengths: Ints
    masked_lm_positions: Ints
    masked_lm_ids: Ints
    num_masked: Ints
    next_sentence_labels: Ints

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, order: Ints) -> Instances:
        """Return the instances `order` names, in that order."""
        return Instances(
            input_ids=_ragged(self.input_ids, _ends(self.lengths), order),
            lengths=self.lengths[order],
            segment_a_lengths=self.segment_a_lengths[order],
            masked_lm_positions=_ragged(self.masked_lm_positions, _ends(self.num_masked), order),
            masked_lm_ids=_ragged(self.masked_lm_ids, _ends(self.num_masked), order),
            num_masked=self.num_masked[order],
            next_sentence_labels=self.next_sentence_labels[order],
        )

    @classmethod
    def joined(cls, parts: Sequence[Instances]) -> Instances:
        """Join instances one after another."""
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in cls.__annotations__
            }
        )


class Shard:
    """One Arrow file, mapped into memory: opening it reads nothing but its footer."""

    def __init__(self, path: Path) -> None:
        self._batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)

    def __len__(self) -> int:
        return self._batch.num_rows

    def read(self, rows: Ints) -> Instances:
        """Gather rows, in the order given."""
        ids, id_ends = self._input_ids
        positions, prediction_ends = self._positions
        originals, _ = self._originals
        starts = np.concatenate(([0], prediction_ends))
        return Instances(
            input_ids=_ragged(ids, id_ends, rows),
            lengths=_lengths(id_ends, rows),
            segment_a_lengths=self._batch["segment_a_length"].to_numpy()[rows].astype(np.int64),
            masked_lm_positions=_ragged(positions, prediction_ends, rows),
            masked_lm_ids=_ragged(originals, prediction_ends, rows),
            num_masked=starts[rows + 1] - starts[rows],
            next_sentence_labels=self._batch["next_sentence_label"]
            .to_numpy()[rows]
            .astype(np.int64),
        )

    @cached_property
    def _input_ids(self) -> tuple[npt.NDArray[np.integer], Ints]:
        return _list_column(self._batch["input_ids"])

    @cached_property
    def _positions(self) -> tuple[npt.NDArray[np.integer], Ints]:
        return _list_column(self._batch["masked_lm_positions"])

    @cached_property
    def _originals(self) -> tuple[npt.NDArray[np.integer], Ints]:
        return _list_column(self._batch["masked_lm_ids"])


class ShardSet:
    """Shards read as one table: the rows of the first, then of the second, and so on."""

    def __init__(
        self,
        paths: Sequence[Path],
        sizes: Sequence[int],
        *,
        on_opening: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._paths = list(paths)
        self._on_opening = on_opening
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._open: dict[int, Shard] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, rows: Ints) -> Instances:
        """Gather rows from wherever they stand, in the order given."""
        shards = np.searchsorted(self._ends, rows, "right")
        parts, places = [], []
        for shard in np.unique(shards).tolist():
            here = np.flatnonzero(shards == shard)
            start = int(self._ends[shard - 1]) if shard else 0
            parts.append(self._shard(shard).read(rows[here] - start))
            places.append(here)
        if len(parts) == 1:
            return parts[0]
        return Instances.joined(parts).take(np.argsort(np.concatenate(places)))

    def _shard(self, number: int) -> Shard:
        if number not in self._open:
            self._on_opening(self._paths[number])
            self._open[number] = Shard(self._paths[number])
        return self._open[number]


def _list_column(column: pa.ListArray) -> tuple[npt.NDArray[np.integer], Ints]:
    return column.values.to_numpy(), column.offsets.to_numpy()[1:]


def _ends(lengths: Ints) -> Ints:
    return np.cumsum(lengths)


def _lengths(ends: Ints, rows: Ints) -> Ints:
    return (ends[rows] - np.where(rows > 0, ends[rows - 1], 0)).astype(np.int64)


def _ragged(values: npt.NDArray[np.integer], ends: Ints, rows: Ints) -> Ints:
    """Gather the values of some rows, one row after another, as int64."""
    lengths = _lengths(ends, rows)
    shift = ends[rows] - np.cumsum(lengths)
    return values[np.repeat(shift, lengths) + np.arange(lengths.sum())].astype(np.int64)
