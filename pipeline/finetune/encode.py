"""Texts turned into what BERT reads: `[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`, cut to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..wordpiece.encode import WordPieceEncoder

Ids = npt.NDArray[np.unsignedinteger]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """N sequences of T tokens in all, one after another.

    `input_ids`: (T,) uint16 or uint32; `lengths`: (N,) int64, special tokens included;
    `segment_a_lengths`: (N,) int64, how many tokens of each have token type 0.
    """

    input_ids: Ids
    lengths: Ints
    segment_a_lengths: Ints
    num_cut: int
    """Sequences whose text didn't fit."""
    num_empty: int
    """Sequences one of whose texts is no token at all: characters that BERT drops, and no other."""
    unknown_share: float
    """Share of `[UNK]` among the tokens of the text."""

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Gather sequences, in the order given: `input_ids`, `lengths`, `segment_a_lengths`."""
        lengths = self.lengths[rows]
        input_ids = self.input_ids[_spans(self._starts[rows], lengths)].astype(np.int64)
        return input_ids, lengths, self.segment_a_lengths[rows]

    @cached_property
    def _starts(self) -> Ints:
        return np.cumsum(self.lengths) - self.lengths


def encode(
    encoder: WordPieceEncoder,
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    *,
    max_seq_length: int,
) -> Sequences:
    """Encode texts or pairs; of a pair that is too long the longer text is cut first, from the end.

    A string like `[SEP]` in a text is ordinary text.
    """
    vocabulary = encoder.vocabulary
    a_ids, a_ends = encoder.encode_texts(texts)
    a_lengths = np.diff(a_ends, prepend=0)
    if text_pairs is None:
        b_ids, b_lengths = a_ids[:0], np.zeros_like(a_lengths)
        num_special = 2
        is_empty = a_lengths == 0
    else:
        b_ids, b_ends = encoder.encode_texts(text_pairs)
        b_lengths = np.diff(b_ends, prepend=0)
        num_special = 3
        is_empty = (a_lengths == 0) | (b_lengths == 0)
    kept_a, kept_b = longest_first(a_lengths, b_lengths, max_seq_length - num_special)
    lengths = kept_a + kept_b + num_special
    starts = np.cumsum(lengths) - lengths
    # Whatever is neither [CLS] nor text is a [SEP].
    input_ids = np.full(lengths.sum(), vocabulary.sep_id, vocabulary.id_dtype)
    input_ids[starts] = vocabulary.cls_id
    a_starts = np.cumsum(a_lengths) - a_lengths
    b_starts = np.cumsum(b_lengths) - b_lengths
    input_ids[_spans(starts + 1, kept_a)] = a_ids[_spans(a_starts, kept_a)]
    input_ids[_spans(starts + kept_a + 2, kept_b)] = b_ids[_spans(b_starts, kept_b)]
    num_text_tokens = int((kept_a + kept_b).sum())
    num_unknown = int(np.count_nonzero(input_ids == vocabulary.unk_id))
    return Sequences(
        input_ids=input_ids,
        lengths=lengths,
        segment_a_lengths=kept_a + 2,
        num_cut=int(np.count_nonzero(kept_a + kept_b < a_lengths + b_lengths)),
        num_empty=int(np.count_nonzero(is_empty)),
        unknown_share=num_unknown / max(1, num_text_tokens),
    )


def longest_first(a_lengths: Ints, b_lengths: Ints, most: int) -> tuple[Ints, Ints]:
    """Return how many tokens of each A and each B are kept, so that both have at most `most`.

    The same as taking one token after the other from the longer of the two, from B where they are
    equal (google-research/bert, run_classifier).
    """
    kept_b = np.minimum(b_lengths, np.maximum(most // 2, most - a_lengths))
    return np.minimum(a_lengths, most - kept_b), kept_b


def _spans(starts: Ints, lengths: Ints) -> Ints:
    """Return the positions `start … start + length - 1` of every span, one span after another."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(lengths.sum())
