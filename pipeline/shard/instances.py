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
from .masking import MaskSettings, Predictions, choose_tokens, hide
from .segments import Pairs
from .tokens import Ids, Number, TokenisedDocuments
from .whole_words import choose_words

METADATA_KEY = "bertctl"
_LISTS = ("input_ids", "masked_lm_positions", "masked_lm_ids")
_ROWS_AT_ONCE = 4096
_MOST_IN_32_BITS = 1 << 31


@dataclass(frozen=True)
class SpecialIds:
    """The ids that frame an instance."""

    cls_id: int
    sep_id: int


@dataclass(frozen=True)
class ShardFigures:
    """What one shard holds; sums of them describe a whole output.

    `not_next` counts the instances labelled 1. `words` are those chosen whole and
    `predictions_in_long_words` the predictions in words of several pieces; 0 where tokens were
    chosen one by one.
    """

    instances: int
    tokens: int
    predictions: int
    masked: int
    random: int
    not_next: int
    unpaired: int
    words: int
    predictions_in_long_words: int


def schema_of(
    id_type: npt.DTypeLike, metadata: Mapping[str, object], *, with_label: bool = True
) -> pa.Schema:
    """Return the columns of a shard, the label aside if there are no pairs.

    `metadata` names the recipe.
    """
    ids = pa.from_numpy_dtype(id_type)
    label = pa.field("next_sentence_label", pa.uint8(), nullable=False)
    fields = [
        pa.field("input_ids", pa.list_(ids), nullable=False),
        pa.field("segment_a_length", pa.uint16(), nullable=False),
        pa.field("masked_lm_positions", pa.list_(pa.uint16()), nullable=False),
        pa.field("masked_lm_ids", pa.list_(ids), nullable=False),
        *([label] if with_label else []),
        pa.field("document_a", pa.uint64(), nullable=False),
        pa.field("document_b", pa.uint64(), nullable=False),
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def write_instances(
    path: Path,
    documents: TokenisedDocuments,
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
        _block(documents, pairs, order[start : start + _ROWS_AT_ONCE], special, masks, random)
        for start in starts
    ]
    columns = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in _Block.__annotations__
    }
    num_predictions = columns["num_predictions"]
    arrays = {
        **{name: pa.array(columns[name]) for name in schema.names if name not in _LISTS},
        "input_ids": _lists(columns["input_ids"], columns["lengths"]),
        "masked_lm_positions": _lists(columns["masked_lm_positions"], num_predictions),
        "masked_lm_ids": _lists(columns["masked_lm_ids"], num_predictions),
    }
    batch = pa.record_batch([arrays[name] for name in schema.names], schema=schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)
    shown, original = columns["shown_ids"], columns["masked_lm_ids"]
    word_sizes = columns["word_sizes"]
    return ShardFigures(
        instances=len(order),
        tokens=len(columns["input_ids"]),
        predictions=len(original),
        masked=int(np.count_nonzero(shown == masks.mask_id)),
        random=int(np.count_nonzero((shown != masks.mask_id) & (shown != original))),
        not_next=int(np.count_nonzero(columns["next_sentence_label"])),
        unpaired=pairs.unpaired,
        words=len(word_sizes),
        predictions_in_long_words=int(word_sizes[word_sizes > 1].sum()),
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
    word_sizes: npt.NDArray[np.int64]
    next_sentence_label: npt.NDArray[np.uint8]
    document_a: npt.NDArray[np.uint64]
    document_b: npt.NDArray[np.uint64]


def _block(
    documents: TokenisedDocuments,
    pairs: Pairs,
    rows: npt.NDArray[np.int64],
    special: SpecialIds,
    masks: MaskSettings,
    random: KeyedRandom,
) -> _Block:
    lengths = pairs.lengths[rows]
    segment_a_length = pairs.a_length[rows] + 2
    ids = _framed(documents.ids, pairs, rows, special)
    chosen = _choose(documents, pairs, rows, masks, random)
    original, shown = hide(ids, np.cumsum(lengths) - lengths, chosen, masks, random)
    return _Block(
        input_ids=ids,
        lengths=lengths,
        segment_a_length=segment_a_length.astype(np.uint16),
        masked_lm_positions=chosen.columns.astype(np.uint16),
        masked_lm_ids=original,
        shown_ids=shown,
        num_predictions=np.bincount(chosen.rows, minlength=len(rows)),
        word_sizes=np.zeros(0, np.int64) if chosen.word_sizes is None else chosen.word_sizes,
        next_sentence_label=_labels(pairs, rows),
        document_a=pairs.document_a[rows],
        document_b=pairs.document_b[rows],
    )


def _choose(
    documents: TokenisedDocuments,
    pairs: Pairs,
    rows: npt.NDArray[np.int64],
    masks: MaskSettings,
    random: KeyedRandom,
) -> Predictions:
    lengths = pairs.lengths[rows]
    segment_a_length = pairs.a_length[rows] + 2
    candidates = lengths - pairs.num_special_tokens
    budgets = masks.num_predictions(lengths, candidates)
    if not masks.whole_words:
        return choose_tokens(segment_a_length, candidates, budgets, random)
    assert documents.continues is not None
    continues = _framed(documents.continues, pairs, rows, SpecialIds(0, 0))
    cap = masks.max_predictions_per_seq
    return choose_words(continues, segment_a_length, lengths, budgets, random, cap=cap)


def _labels(pairs: Pairs, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    if pairs.not_next is None:
        return np.zeros(0, np.uint8)
    return pairs.not_next[rows].astype(np.uint8)


def _framed(
    tokens: npt.NDArray[Number], pairs: Pairs, rows: npt.NDArray[np.int64], special: SpecialIds
) -> npt.NDArray[Number]:
    """Return `[CLS] A [SEP] B [SEP]` of each row, one after another: (T,)."""
    segments = [(pairs.a_start[rows], pairs.a_length[rows])]
    if pairs.not_next is not None:
        segments.append((pairs.b_start[rows], pairs.b_length[rows]))
    # Runs of tokens: [CLS], a segment, [SEP], … Those of one come from anywhere at first. Places of
    # 32 bits are gathered a fifth faster than those of 64.
    place_dtype = np.int32 if len(tokens) < _MOST_IN_32_BITS else np.int64
    starts = np.zeros((len(rows), 1 + 2 * len(segments)), place_dtype)
    lengths = np.ones_like(starts)
    for number, (start, length) in enumerate(segments):
        starts[:, 1 + 2 * number], lengths[:, 1 + 2 * number] = start, length
    stops = np.cumsum(lengths, dtype=place_dtype).reshape(lengths.shape)
    places = np.repeat(starts - (stops - lengths), lengths.ravel())
    places += np.arange(len(places), dtype=place_dtype)
    framed = tokens.take(places)
    framed[stops[:, 0] - 1] = special.cls_id
    framed[stops[:, 2::2] - 1] = special.sep_id
    return framed


def _lists(values: npt.NDArray[np.generic], lengths: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
