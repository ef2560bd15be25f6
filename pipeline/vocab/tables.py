"""Tables of counted words in files: written, read and added up in little memory, however long."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

ROWS_AT_ONCE = 1 << 13
"""Rows of a record batch: what is held of each table while many are added up."""
_SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64())])


@contextmanager
def system_memory() -> Generator[None]:
    """Let Arrow take memory where numpy does: its own pool keeps what it frees to itself."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@dataclass(frozen=True)
class WordCounts:
    """Distinct words, ordered by their UTF-8 bytes, and how often each comes.

    `words`: (W,) string; `counts`: (W,) int64, at least 1.
    """

    words: pa.Array
    counts: pa.Array

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice) -> WordCounts:
        return WordCounts(self.words[rows], self.counts[rows])

    @property
    def total(self) -> int:
        """How many words were counted."""
        return int(self.counts.to_numpy().sum())


@dataclass(frozen=True)
class Table:
    """A file of counted words in order; goes over its rows, a batch at a time, as often as asked.

    A `WordCounts` in a list will do wherever one is wanted.
    """

    path: Path

    def __iter__(self) -> Iterator[WordCounts]:
        # Not mapped: the pages of a long file would count as this process's memory.
        with pa.OSFile(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                yield WordCounts(batch["word"], batch["count"])


def write_table(path: Path, batches: Iterable[WordCounts]) -> tuple[int, int]:
    """Write words in order to an Arrow file; return how many there are, and how many distinct.

    Equal words and counts give equal bytes, however they come in batches.
    """
    words = distinct = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for batch in _even(batches):
            writer.write_batch(pa.record_batch([batch.words, batch.counts], schema=_SCHEMA))
            words += batch.total
            distinct += len(batch)
    return words, distinct


def added_up(tables: Sequence[Iterable[WordCounts]]) -> Iterator[WordCounts]:
    """Yield the sum of tables, in order; of each table one batch is held at a time."""
    unread = [iter(table) for table in tables]
    heads = [next(batches, None) for batches in unread]
    while True:
        # An empty batch has nothing to compare.
        for index, head in enumerate(heads):
            while head is not None and not len(head):
                heads[index] = head = next(unread[index], None)
        held = {index: head for index, head in enumerate(heads) if head is not None}
        if not held:
            return
        # Up to here every table has told all it has; the one that ends here is used up.
        border = min(head.words[-1].as_py() for head in held.values())
        summed: list[WordCounts] = []
        for index, head in held.items():
            end = bisect_right(head.words, border, key=pa.StringScalar.as_py)
            summed.append(head[:end])
            heads[index] = head[end:]
        yield sum_counts(summed)


def sum_counts(tables: Sequence[WordCounts]) -> WordCounts:
    """Add up the counts of equal words and put the words in order, which the tables may lack."""
    words = pa.concat_arrays([pa.array([], pa.string()), *(table.words for table in tables)])
    encoded = words.dictionary_encode()
    sums = np.zeros(len(encoded.dictionary), np.int64)
    counts = [table.counts.to_numpy() for table in tables]
    np.add.at(sums, encoded.indices.to_numpy(), np.concatenate([sums[:0], *counts]))
    ordered = pa.table({"word": encoded.dictionary, "count": sums}).sort_by("word")
    return WordCounts(*(column.combine_chunks() for column in ordered.columns))


def _even(batches: Iterable[WordCounts]) -> Iterator[WordCounts]:
    """Yield the same rows in batches of `ROWS_AT_ONCE`, the last one with what is left."""
    waiting: list[WordCounts] = []
    num_waiting = 0
    for batch in batches:
        waiting.append(batch)
        num_waiting += len(batch)
        if num_waiting >= ROWS_AT_ONCE:
            rows = _joined(waiting)
            full = num_waiting - num_waiting % ROWS_AT_ONCE
            for start in range(0, full, ROWS_AT_ONCE):
                yield _joined([rows[start : start + ROWS_AT_ONCE]])
            waiting, num_waiting = [rows[full:]], num_waiting - full
    if num_waiting:
        yield _joined(waiting)


def _joined(tables: Sequence[WordCounts]) -> WordCounts:
    """Return the rows in arrays of their own: a slice is written with the bytes it was cut from."""
    return WordCounts(
        pa.concat_arrays([table.words for table in tables]),
        pa.concat_arrays([table.counts for table in tables]),
    )
