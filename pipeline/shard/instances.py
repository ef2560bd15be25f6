"""Pairs written as instances: gathered, masked, permuted, one Arrow row each.

Shapes: R instances of a block, L their greatest length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..randomness import KeyedRandom
from .masking import NO_POSITION, MaskSettings, choose_positions, hide
from .pairs import Pairs
from .tokens import Ids

METADATA_KEY = "bertctl"
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class SpecialIds:
    """The ids that frame an instance."""

    cls_id: int
    sep_id: int


@dataclass(frozen=True)
class ShardFigures:
    """What one shard holds; sums of them describe a whole output."""

    instances: int
    tokens: int
    predictions: int
    masked: int
    random: int
    random_next: int
    unpaired: int


def schema_of(id_type: npt.DTypeLike, metadata: Mapping[str, object]) -> pa.Schema:
    """Return the columns of a shard; `metadata` names the recipe."""
    ids = pa.from_numpy_dtype(id_type)
    fields = [
        pa.field("input_ids", pa.list_(ids), nullable=False),
        pa.field("segment_a_length", pa.uint16(), nullable=False),
        pa.field("masked_lm_positions", pa.list_(pa.uint16()), nullable=False),
        pa.field("masked_lm_ids", pa.list_(ids), nullable=False),
        pa.field("next_sentence_label", pa.uint8(), nullable=False),
        pa.field("document_a", pa.uint64(), nullable=False),
        pa.field("document_b", pa.uint64(), nullable=False),
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def write_instances(
    path: Path,
    tokens: Ids,
    pairs: Pairs,
    special: SpecialIds,
    masks: MaskSettings,
    random: KeyedRandom,
    schema: pa.Schema,
) -> ShardFigures:
    """Write every pair as one row, in a random order; return what was written."""
    order = random.permutation(len(pairs))
    figures = np.zeros(5, np.int64)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, len(order), _ROWS_AT_ONCE):
            block = order[start : start + _ROWS_AT_ONCE]
            batch, counted = _block(tokens, pairs, block, special, masks, random, schema)
            writer.write_batch(batch)
            figures += counted
    num_tokens, predictions, masked, replaced, random_next = figures.tolist()
    return ShardFigures(
        instances=len(order),
        tokens=num_tokens,
        predictions=predictions,
        masked=masked,
        random=replaced,
        random_next=random_next,
        unpaired=pairs.unpaired,
    )


def total_figures(figures: list[ShardFigures]) -> dict[str, int]:
    """Add up what shards hold."""
    names = ShardFigures.__annotations__
    return {name: sum(asdict(each)[name] for each in figures) for name in names}


def _block(
    tokens: Ids,
    pairs: Pairs,
    rows: npt.NDArray[np.int64],
    special: SpecialIds,
    masks: MaskSettings,
    random: KeyedRandom,
    schema: pa.Schema,
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    lengths = pairs.lengths[rows]
    segment_a_length = pairs.a_length[rows] + 2
    ids = _gather(tokens, pairs, rows, special)
    positions = choose_positions(segment_a_length, lengths, masks.num_predictions(lengths), random)
    original = hide(ids, positions, masks, random)
    row, slot = np.nonzero(positions != NO_POSITION)
    shown = ids[row, positions[row, slot]]
    present = np.arange(ids.shape[1]) < lengths[:, None]
    is_random = pairs.is_random[rows]
    columns = [
        _lists(ids[present], lengths),
        pa.array(segment_a_length.astype(np.uint16)),
        _lists(positions[row, slot], np.bincount(row, minlength=len(rows))),
        _lists(original, np.bincount(row, minlength=len(rows))),
        pa.array(is_random.astype(np.uint8)),
        pa.array(pairs.document_a[rows]),
        pa.array(pairs.document_b[rows]),
    ]
    masked = np.count_nonzero(shown == masks.mask_id)
    replaced = np.count_nonzero((shown != masks.mask_id) & (shown != original))
    counted = [lengths.sum(), len(original), masked, replaced, np.count_nonzero(is_random)]
    return pa.record_batch(columns, schema=schema), np.array(counted, np.int64)


def _gather(tokens: Ids, pairs: Pairs, rows: npt.NDArray[np.int64], special: SpecialIds) -> Ids:
    """Return (R, L) `[CLS] A [SEP] B [SEP]`; what stands after an instance's end is undefined."""
    a_length = pairs.a_length[rows]
    lengths = pairs.lengths[rows]
    column = np.arange(lengths.max(initial=0))
    from_a = (pairs.a_start[rows] - 1)[:, None] + column
    from_b = (pairs.b_start[rows] - a_length - 2)[:, None] + column
    source = np.where(column < (a_length + 2)[:, None], from_a, from_b)
    ids = tokens.take(source, mode="clip")
    every = np.arange(len(rows))
    ids[:, 0] = special.cls_id
    ids[every, a_length + 1] = special.sep_id
    ids[every, lengths - 1] = special.sep_id
    return ids


def _lists(values: npt.NDArray[np.generic], lengths: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
