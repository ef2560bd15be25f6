"""Pairs written as instances: gathered, masked, permuted, one Arrow row each.

Shapes: R instances of a block, L their greatest length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..randomness import KeyedRandom
from .masking import NO_POSITION, MaskSettings, choose_positions, hide
from .pairs import SPECIAL_TOKENS, Pairs
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
    """Write every pair as one row, in a random order; return what was written.

    A shard is one record batch, so that a reader finds a row without a search.
    """
    order = random.permutation(len(pairs))
    starts = range(0, max(len(order), 1), _ROWS_AT_ONCE)
    blocks = [
        _block(tokens, pairs, order[start : start + _ROWS_AT_ONCE], special, masks, random)
        for start in starts
    ]
    columns = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in _Block.__annotations__
    }
    batch = pa.record_batch(
        [
            _lists(columns["input_ids"], columns["lengths"]),
            pa.array(columns["segment_a_length"]),
            _lists(columns["masked_lm_positions"], columns["num_predictions"]),
            _lists(columns["masked_lm_ids"], columns["num_predictions"]),
            pa.array(columns["next_sentence_label"]),
            pa.array(columns["document_a"]),
            pa.array(columns["document_b"]),
        ],
        schema=schema,
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)
    shown, original = columns["shown_ids"], columns["masked_lm_ids"]
    return ShardFigures(
        instances=len(order),
        tokens=len(columns["input_ids"]),
        predictions=len(original),
        masked=int(np.count_nonzero(shown == masks.mask_id)),
        random=int(np.count_nonzero((shown != masks.mask_id) & (shown != original))),
        random_next=int(np.count_nonzero(columns["next_sentence_label"])),
        unpaired=pairs.unpaired,
    )


def total_figures(figures: Iterable[ShardFigures]) -> dict[str, int]:
    """Add up what shards hold."""
    names = ShardFigures.__annotations__
    rows = [asdict(each) for each in figures]
    return {name: sum(each[name] for each in rows) for name in names}


@dataclass(frozen=True)
class _Block:
    """Columns of some rows; those with several values a row are flat, lengths beside them."""

    input_ids: Ids
    lengths: npt.NDArray[np.int64]
    segment_a_length: npt.NDArray[np.uint16]
    masked_lm_positions: npt.NDArray[np.uint16]
    masked_lm_ids: Ids
    shown_ids: Ids
    num_predictions: npt.NDArray[np.int64]
    next_sentence_label: npt.NDArray[np.uint8]
    document_a: npt.NDArray[np.uint64]
    document_b: npt.NDArray[np.uint64]


def _block(
    tokens: Ids,
    pairs: Pairs,
    rows: npt.NDArray[np.int64],
    special: SpecialIds,
    masks: MaskSettings,
    random: KeyedRandom,
) -> _Block:
    lengths = pairs.lengths[rows]
    segment_a_length = pairs.a_length[rows] + 2
    ids = _gather(tokens, pairs, rows, special)
    num_predictions = masks.num_predictions(lengths)
    positions = choose_positions(segment_a_length, lengths, num_predictions, random)
    original = hide(ids, positions, masks, random)
    row, slot = np.nonzero(positions != NO_POSITION)
    return _Block(
        input_ids=ids[np.arange(ids.shape[1]) < lengths[:, None]],
        lengths=lengths,
        segment_a_length=segment_a_length.astype(np.uint16),
        masked_lm_positions=positions[row, slot],
        masked_lm_ids=original,
        shown_ids=ids[row, positions[row, slot]],
        num_predictions=num_predictions,
        next_sentence_label=pairs.is_random[rows].astype(np.uint8),
        document_a=pairs.document_a[rows],
        document_b=pairs.document_b[rows],
    )


def _gather(tokens: Ids, pairs: Pairs, rows: npt.NDArray[np.int64], special: SpecialIds) -> Ids:
    """Return (R, L) `[CLS] A [SEP] B [SEP]`; what stands after an instance's end is undefined."""
    a_length = pairs.a_length[rows]
    lengths = pairs.lengths[rows]
    column = np.arange(lengths.max(initial=SPECIAL_TOKENS))
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
