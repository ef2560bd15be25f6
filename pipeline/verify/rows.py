"""Arrow files in, flat numpy columns of their instances out, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_ROWS_AT_ONCE = 1 << 13
_LEAST_TOKENS = 3


@dataclass(frozen=True)
class Rows:
    """R instances of T tokens with P predictions in all.

    `ids`: (T,) as they stand there, masks applied; `ends`: (R,) where each instance ends in them;
    `positions`, `originals`: (P,); `prediction_ends`: (R,); `a_lengths`: (R,) with [CLS] and
    [SEP]; `labels`: (R,), or None; `document_a`, `document_b`: (R,).
    """

    ids: Ints
    ends: Ints
    positions: Ints
    originals: Ints
    prediction_ends: Ints
    a_lengths: Ints
    labels: Ints | None
    document_a: Keys
    document_b: Keys

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> Ints:
        """(R,) tokens of each instance."""
        return np.diff(self.ends, prepend=0)

    @property
    def starts(self) -> Ints:
        """(R,) where each instance begins."""
        return self.ends - self.lengths

    @cached_property
    def num_predictions(self) -> Ints:
        """(R,)."""
        return np.diff(self.prediction_ends, prepend=0)

    @cached_property
    def prediction_rows(self) -> Ints:
        """(P,) the instance of each prediction."""
        return np.repeat(np.arange(len(self)), self.num_predictions)

    @cached_property
    def places(self) -> Ints:
        """(P,) where each prediction stands in `ids`."""
        return self.starts[self.prediction_rows] + self.positions

    @cached_property
    def restored(self) -> Ints:
        """(T,) the ids before anything was masked."""
        ids = self.ids.copy()
        ids[self.places] = self.originals
        return ids


class Misshapen(Exception):
    """A file isn't an Arrow file of the expected columns; the message says what it is."""


def open_shard(path: Path) -> pa.RecordBatchFileReader:
    """Map a shard into memory; `Misshapen` if it isn't an Arrow file."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowInvalid, OSError) as error:
        raise Misshapen("no Arrow file") from error


def expected_columns(num_tokens: int, *, has_label: bool) -> dict[str, pa.DataType]:
    """Return the columns that the documentation promises."""
    ids = pa.uint16() if num_tokens <= 1 << 16 else pa.uint32()
    return {
        "input_ids": pa.list_(ids),
        "segment_a_length": pa.uint16(),
        "masked_lm_positions": pa.list_(pa.uint16()),
        "masked_lm_ids": pa.list_(ids),
        **({"next_sentence_label": pa.uint8()} if has_label else {}),
        "document_a": pa.uint64(),
        "document_b": pa.uint64(),
    }


def blocks_of(shard: pa.RecordBatchFileReader) -> Iterator[tuple[Rows, int]]:
    """Yield the rows that can be made sense of, and how many others stood among them."""
    for number in range(shard.num_record_batches):
        try:
            batch = shard.get_batch(number)
            batch.validate(full=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise Misshapen("damaged Arrow data") from error
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            block = batch.slice(start, _ROWS_AT_ONCE)
            sound = _sound(block)
            yield (
                _rows(block if sound.all() else block.filter(pa.array(sound))),
                int((~sound).sum()),
            )


def _sound(batch: pa.RecordBatch) -> Flags:
    """Return (R,) whether a row's lists fit: positions inside it, and an id for each of them."""
    lengths, _ = _list(batch["input_ids"])
    num_positions, positions = _list(batch["masked_lm_positions"])
    num_originals, _ = _list(batch["masked_lm_ids"])
    a_lengths = batch["segment_a_length"].to_numpy()
    rows = np.repeat(np.arange(len(lengths)), num_positions)
    outside = np.bincount(rows[positions >= lengths[rows]], minlength=len(lengths)) > 0
    fit = (lengths >= _LEAST_TOKENS) & (num_positions == num_originals) & (num_positions > 0)
    return fit & ~outside & (a_lengths >= 2) & (a_lengths <= lengths)


def _rows(batch: pa.RecordBatch) -> Rows:
    lengths, ids = _list(batch["input_ids"])
    num_predictions, positions = _list(batch["masked_lm_positions"])
    _, originals = _list(batch["masked_lm_ids"])
    names = batch.schema.names
    has_label = "next_sentence_label" in names
    return Rows(
        ids=ids,
        ends=np.cumsum(lengths),
        positions=positions,
        originals=originals,
        prediction_ends=np.cumsum(num_predictions),
        a_lengths=batch["segment_a_length"].to_numpy().astype(np.int64),
        labels=batch["next_sentence_label"].to_numpy().astype(np.int64) if has_label else None,
        document_a=batch["document_a"].to_numpy(),
        document_b=batch["document_b"].to_numpy(),
    )


def _list(column: pa.ListArray) -> tuple[Ints, Ints]:
    """Return the length of each row's list, and all their values in a row."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    return np.diff(offsets), values.to_numpy().astype(np.int64)
