"""Texts and pairs as items: cut to fit, or read in windows whose answers are pooled by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples
from ..examples.texts import TextRow
from ..settings import FinetuneSettings
from .sequences import Ints, Pieces, Windows, assemble, longest_first, pieces_of, windows
from .task import Floats, Items, Targets, whole_sequences


def encode_texts(
    encoder: WordPieceEncoder,
    examples: Examples[TextRow],
    targets: Targets,
    settings: FinetuneSettings,
) -> Items:
    """Encode texts or pairs and give each row's target to all items made of it.

    A string like `[SEP]` in a text is ordinary text.
    """
    texts = [row.text for row in examples.rows]
    pairs = [row.text_pair for row in examples.rows if row.text_pair is not None]
    a = pieces_of(encoder.encode_texts(texts))
    b = pieces_of(encoder.encode_texts(pairs)) if pairs else None
    room = settings.max_seq_length - (2 if b is None else 3)
    if settings.long_text == "window":
        shown = _windowed(a, b, room, settings)
    else:
        how = "head" if settings.long_text == "auto" else settings.long_text
        if b is None:
            shown = _Shown(a.cut(np.minimum(a.lengths, room), how), None, np.arange(len(a)))
        else:
            kept_a, kept_b = longest_first(a.lengths, b.lengths, room)
            shown = _Shown(a.cut(kept_a, how), b.cut(kept_b, how), np.arange(len(a)))
    whole = a.lengths if b is None else a.lengths + b.lengths
    fits = whole <= room
    is_empty = a.lengths == 0 if b is None else (a.lengths == 0) | (b.lengths == 0)
    return whole_sequences(
        assemble(encoder.vocabulary, shown.a, shown.b),
        shown.rows,
        targets[shown.rows],
        num_rows=len(examples),
        num_cut=shown.num_cut if settings.long_text == "window" else int((~fits).sum()),
        num_windowed=int((np.bincount(shown.rows) > 1).sum()),
        num_empty=int(is_empty.sum()),
        unknown_share=unknown_share(encoder, [shown.a] if shown.b is None else [shown.a, shown.b]),
    )


@dataclass(frozen=True)
class _Shown:
    """The segments of each sequence, and the row each is of."""

    a: Pieces
    b: Pieces | None
    rows: Ints
    num_cut: int = 0


def _windowed(a: Pieces, b: Pieces | None, room: int, settings: FinetuneSettings) -> _Shown:
    """Read a text in windows; of a pair the second, beside at most half a sequence of the first."""
    if b is None:
        parts = windows_of(a.lengths, np.full(len(a), room), settings)
        return _Shown(a.stretches(parts.rows, parts.first, parts.lengths), None, parts.rows)
    kept = np.minimum(a.lengths, np.maximum(room // 2, room - b.lengths))
    parts = windows_of(b.lengths, room - kept, settings)
    return _Shown(
        a.cut(kept, "head").take(parts.rows),
        b.stretches(parts.rows, parts.first, parts.lengths),
        parts.rows,
        int((kept < a.lengths).sum()),
    )


def windows_of(lengths: Ints, room: Ints, settings: FinetuneSettings) -> Windows:
    """Cut stretches (N,) into windows of `room` (N,) tokens, as far apart as is asked for."""
    stride = np.maximum(1, room // 2)
    if settings.doc_stride != "auto":
        stride = np.minimum(settings.doc_stride, room)
    return windows(lengths, room, stride)


def unknown_share(encoder: WordPieceEncoder, several: Sequence[Pieces]) -> float:
    """Return the share of `[UNK]` among tokens of text."""
    num_unknown = sum(int((each.ids == encoder.vocabulary.unk_id).sum()) for each in several)
    return num_unknown / max(1, sum(len(each.ids) for each in several))


def pooled_log_probs(log_probs: Floats, items: Items) -> Floats:
    """Turn log-probabilities of items (I, C) into those of rows (R, C): windows' mean."""
    if len(items) == items.num_rows:
        return log_probs
    counts = np.bincount(items.rows, minlength=items.num_rows)
    return np.logaddexp.reduceat(log_probs, _firsts(counts), axis=0) - np.log(counts)[:, None]


def pooled_mean(values: Floats, items: Items) -> Floats:
    """Turn values of items (I, C) into their mean over each row's (R, C)."""
    if len(items) == items.num_rows:
        return values
    counts = np.bincount(items.rows, minlength=items.num_rows)
    return np.add.reduceat(values, _firsts(counts), axis=0) / counts[:, None]


def _firsts(counts: Ints) -> Ints:
    return np.cumsum(counts) - counts
