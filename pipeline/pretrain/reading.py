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
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Instances:
    """I instances, their columns one after another, in the types that shards have.

    `input_ids`: (T,); `segment_a_lengths`: (I,); `masked_lm_positions`, `masked_lm_ids`: (M,);
    `next_sentence_labels`: (I,). `lengths`, `num_masked`: (I,) int64, tokens and masked ones of
    each.
    """

    input_ids: Integers
    lengths: Ints
    segment_a_lengths: Integers
    masked_lm_positions: Integers
    masked_lm_ids: Integers
    num_masked: Ints
    next_sentence_labels: Integers

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, order: Ints) -> Instances:
        """Return the instances `order` names, in that order."""
        return Instances(
            input_ids=_ragged(self.input_ids, _offsets(self.lengths), order),
            lengths=self.lengths[order],
            segment_a_lengths=self.segment_a_lengths[order],
            masked_lm_positions=_ragged(self.masked_lm_positions, _offsets(self.num_masked), order),
            masked_lm_ids=_ragged(self.masked_lm_ids, _offsets(self.num_masked), order),
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
        ids, id_offsets = self._input_ids
        positions, prediction_offsets = self._positions
        originals, _ = self._originals
        return Instances(
            input_ids=_ragged(ids, id_offsets, rows),
            lengths=_lengths(id_offsets, rows),
            segment_a_lengths=self._segment_a_lengths[rows],
            masked_lm_positions=_ragged(positions, prediction_offsets, rows),
            masked_lm_ids=_ragged(originals, prediction_offsets, rows),
            num_masked=_lengths(prediction_offsets, rows),
            next_sentence_labels=self._next_sentence_labels[rows],
        )

    @cached_property
    def _segment_a_lengths(self) -> Integers:
        return self._batch["segment_a_length"].to_numpy()

    @cached_property
    def _next_sentence_labels(self) -> Integers:
        return self._batch["next_sentence_label"].to_numpy()

    @cached_property
    def _input_ids(self) -> tuple[Integers, Integers]:
        return _list_column(self._batch["input_ids"])

    @cached_property
    def _positions(self) -> tuple[Integers, Integers]:
        return _list_column(self._batch["masked_lm_positions"])

    @cached_property
    def _originals(self) -> tuple[Integers, Integers]:
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


def _list_column(column: pa.ListArray) -> tuple[Integers, Integers]:
    """Return all values in a row, and the rows + 1 offsets between which each row's stand."""
    return column.values.to_numpy(), column.offsets.to_numpy()


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths)))


def _lengths(offsets: Integers, rows: Ints) -> Ints:
    return (offsets[rows + 1] - offsets[rows]).astype(np.int64)


def _ragged(values: Integers, offsets: Integers, rows: Ints) -> Integers:
    """Gather the values of some rows, one row after another.

    A copy for each row is many times cheaper than an index for each value.
    """
    starts = offsets[rows].astype(np.int64) * values.itemsize
    stops = offsets[rows + 1].astype(np.int64) * values.itemsize
    raw = values.view(np.uint8).data
    runs = zip(starts.tolist(), stops.tolist(), strict=True)
    return np.frombuffer(b"".join([raw[start:stop] for start, stop in runs]), values.dtype)
