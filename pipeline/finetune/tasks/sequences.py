"""Ids of texts turned into what BERT reads: `[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...wordpiece.vocabulary import Vocabulary

Ids = npt.NDArray[np.unsignedinteger]
Ints = npt.NDArray[np.int64]
Cut = Literal["head", "tail", "head+tail"]


@dataclass(frozen=True)
class Sequences:
    """N sequences of T tokens in all, one after another.

    `input_ids`: (T,) uint16 or uint32; `lengths`: (N,) int64, special tokens included;
    `segment_a_lengths`: (N,) int64, how many tokens of each have token type 0.
    """

    input_ids: Ids
    lengths: Ints
    segment_a_lengths: Ints

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Gather sequences, in the order given: `input_ids`, `lengths`, `segment_a_lengths`."""
        lengths = self.lengths[rows]
        input_ids = self.input_ids[spans(self.starts[rows], lengths)].astype(np.int64)
        return input_ids, lengths, self.segment_a_lengths[rows]

    @cached_property
    def starts(self) -> Ints:
        """(N,) int64: where each begins."""
        return np.cumsum(self.lengths) - self.lengths


@dataclass(frozen=True)
class Pieces:
    """The ids of N stretches of text (T,), one after another, and their lengths (N,) int64."""

    ids: Ids
    lengths: Ints

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> Ints:
        """(N,) int64: where each begins."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, rows: Ints) -> Pieces:
        """Return some of the stretches, in the order given."""
        return self.stretches(rows, np.zeros(len(rows), np.int64), self.lengths[rows])

    def stretches(self, rows: Ints, first: Ints, lengths: Ints) -> Pieces:
        """Return parts of stretches: of each of `rows`, `lengths` tokens from its token `first`."""
        return Pieces(self.ids[spans(self.starts[rows] + first, lengths)], lengths)

    def cut(self, kept: Ints, how: Cut) -> Pieces:
        """Keep `kept` tokens of each stretch: its first, its last, or some of both."""
        head = {"head": kept, "tail": np.zeros_like(kept)}.get(how)
        if head is None:
            head = head_of(self.lengths, kept)
        # Whatever is kept beyond the head stands as far from the end as in the whole.
        within = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        skipped = np.repeat(self.lengths - kept, kept)
        index = np.repeat(self.starts, kept) + within
        return Pieces(self.ids[index + skipped * (within >= np.repeat(head, kept))], kept)


def head_of(lengths: Ints, kept: Ints) -> Ints:
    """Return how many of the tokens kept are the first of a text, where its end is kept as well.

    128 of 510, the rest from the end (Sun et al. 2019, "How to fine-tune BERT", 5.3); of texts
    beyond 800 tokens half. Both are scaled to other lengths.
    """
    share = np.where(510 * lengths < 800 * kept, 128 / 510, 256 / 510)
    return np.round(share * kept).astype(np.int64)


def longest_first(a_lengths: Ints, b_lengths: Ints, most: int) -> tuple[Ints, Ints]:
    """Return how many tokens of each A and each B are kept, so that both have at most `most`.

    The same as taking one token after the other from the longer of the two, from B where they are
    equal (google-research/bert, run_classifier).
    """
    kept_b = np.minimum(b_lengths, np.maximum(most // 2, most - a_lengths))
    return np.minimum(a_lengths, most - kept_b), kept_b


@dataclass(frozen=True)
class Windows:
    """Overlapping parts of N stretches, W in all, in order: whose, from which token, how many."""

    rows: Ints
    first: Ints
    lengths: Ints


def windows(lengths: Ints, room: Ints, stride: Ints) -> Windows:
    """Cut stretches into windows of at most `room` tokens, `stride` apart; all (N,) int64.

    The last window ends where the stretch ends; a stretch that fits is one window.
    """
    beyond = np.maximum(0, lengths - room)
    counts = 1 - (-beyond // stride)
    rows = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = number * stride[rows]
    return Windows(rows, first, np.minimum(room[rows], lengths[rows] - first))


def assemble(vocabulary: Vocabulary, a: Pieces, b: Pieces | None) -> Sequences:
    """Put `[CLS]` and `[SEP]` around the segments."""
    b_lengths = np.zeros_like(a.lengths) if b is None else b.lengths
    lengths = a.lengths + b_lengths + (2 if b is None else 3)
    starts = np.cumsum(lengths) - lengths
    # Whatever is neither [CLS] nor text is a [SEP].
    input_ids = np.full(lengths.sum(), vocabulary.sep_id, vocabulary.id_dtype)
    input_ids[starts] = vocabulary.cls_id
    input_ids[spans(starts + 1, a.lengths)] = a.ids
    if b is not None:
        input_ids[spans(starts + a.lengths + 2, b_lengths)] = b.ids
    return Sequences(input_ids, lengths, a.lengths + 2)


def spans(starts: Ints, lengths: Ints) -> Ints:
    """Return the positions `start … start + length - 1` of every span, one span after another."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(lengths.sum())


def pieces_of(encoded: tuple[Ids, Ints]) -> Pieces:
    """Return what an encoder gives, ids and the ends of texts, as pieces."""
    ids, ends = encoded
    return Pieces(ids, np.diff(ends, prepend=0))
