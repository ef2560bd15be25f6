"""Shards read: any rows of them as flat numpy columns, by gathers from mapped memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .instances import Instances, Integers, Ints, lengths_of, ragged


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
        labels = self._next_sentence_labels
        return Instances(
            input_ids=ragged(ids, id_offsets, rows),
            lengths=lengths_of(id_offsets, rows),
            segment_a_lengths=self._segment_a_lengths[rows],
            masked_lm_positions=ragged(positions, prediction_offsets, rows),
            masked_lm_ids=ragged(originals, prediction_offsets, rows),
            num_masked=lengths_of(prediction_offsets, rows),
            next_sentence_labels=None if labels is None else labels[rows],
        )

    def sizes(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return how many tokens and how many masked ones each row has."""
        return lengths_of(self._input_ids[1], rows), lengths_of(self._positions[1], rows)

    def documents(self, rows: Ints) -> npt.NDArray[np.uint64]:
        """Return which documents each row's segments came from: (rows, 1 or 2)."""
        names = [name for name in ("document_a", "document_b") if name in self._batch.schema.names]
        return np.stack([self._batch[name].to_numpy()[rows] for name in names], axis=1)

    @cached_property
    def _segment_a_lengths(self) -> Integers:
        return self._batch["segment_a_length"].to_numpy()

    @cached_property
    def _next_sentence_labels(self) -> Integers | None:
        name = "next_sentence_label"
        return self._batch[name].to_numpy() if name in self._batch.schema.names else None

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

    @property
    def directory(self) -> Path:
        """Where the shards stand."""
        return self._paths[0].parent

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, rows: Ints) -> Instances:
        """Gather rows from wherever they stand, in the order given."""
        parts, places = [], []
        for shard, here, local in self._by_shard(rows):
            parts.append(shard.read(local))
            places.append(here)
        if len(parts) == 1:
            return parts[0]
        return Instances.joined(parts).take(np.argsort(np.concatenate(places)))

    def sizes(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return how many tokens and how many masked ones each row has; the rows aren't read."""
        lengths, num_masked = np.empty_like(rows), np.empty_like(rows)
        for shard, here, local in self._by_shard(rows):
            lengths[here], num_masked[here] = shard.sizes(local)
        return lengths, num_masked

    def documents(self, rows: Ints) -> list[int]:
        """Return which documents rows came from, each once, ascending."""
        parts = [shard.documents(local) for shard, _, local in self._by_shard(rows)]
        return np.unique(np.concatenate([each.reshape(-1) for each in parts])).tolist()

    def _by_shard(self, rows: Ints) -> Iterator[tuple[Shard, Ints, Ints]]:
        """Split rows: each shard, which of the rows it holds, and their numbers in it."""
        shards = np.searchsorted(self._ends, rows, "right")
        for number in np.unique(shards).tolist():
            here = np.flatnonzero(shards == number)
            start = int(self._ends[number - 1]) if number else 0
            yield self._shard(number), here, rows[here] - start

    def _shard(self, number: int) -> Shard:
        if number not in self._open:
            self._on_opening(self._paths[number])
            self._open[number] = Shard(self._paths[number])
        return self._open[number]


def _list_column(column: pa.ListArray) -> tuple[Integers, Integers]:
    """Return all values in a row, and the rows + 1 offsets between which each row's stand."""
    return column.values.to_numpy(), column.offsets.to_numpy()
