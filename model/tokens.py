"""A batch of sequences as the encoder reads it: one row a token, and the layout that joins rows.

B sequences, S positions of the longest, T token rows, M masked tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .layout import Layout, packed_layout, padded_layout


@dataclass(frozen=True)
class Tokens:
    """Token rows of a whole batch; only `layout` knows which rows are one sequence."""

    input_ids: Tensor
    """(T,) int64"""
    token_type_ids: Tensor
    """(T,) int64"""
    position_ids: Tensor
    """(T,) int64, counted from each sequence's first token"""
    layout: Layout
    num_tokens: int
    """How many of the rows are tokens and not padding"""

    def to(self, device: torch.device) -> Tokens:
        """Return the same tokens on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            token_type_ids=self.token_type_ids.to(device, non_blocking=True),
            position_ids=self.position_ids.to(device, non_blocking=True),
            layout=self.layout.to(device),
        )


def pad_tokens(
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
) -> Tokens:
    """Lay out a padded batch, (B, S) int64 each; `attention_mask` is 1 where to attend.

    Row `b * S + s` is position `s` of sequence `b`; padding takes part in all but attention.
    """
    num_sequences, length = input_ids.shape
    if token_type_ids is None:
        token_type_ids = torch.zeros_like(input_ids)
    position_ids = torch.arange(length, device=input_ids.device).expand(num_sequences, length)
    real = input_ids.numel() if attention_mask is None else int(attention_mask.count_nonzero())
    return Tokens(
        input_ids=input_ids.reshape(-1),
        token_type_ids=token_type_ids.reshape(-1),
        position_ids=position_ids.reshape(-1),
        layout=padded_layout(num_sequences, length, attention_mask, device=input_ids.device),
        num_tokens=real,
    )


def pack_tokens(
    input_ids: Tensor,
    lengths: Tensor,
    segment_a_lengths: Tensor | None = None,
) -> Tokens:
    """Lay out B sequences with next to no padding.

    `input_ids`: the sequences one after another, int64; `lengths`: (B,) int64, each at least 1;
    `segment_a_lengths`: (B,) int64, how many tokens of each have token type 0 (all, without it).
    `layout.starts` tells where each sequence's rows begin, in the order given here. Rows that
    fill up a pack have id 0, and belong to no sequence.
    """
    num_tokens = int(lengths.sum())
    if num_tokens != len(input_ids):
        raise ValueError(f"lengths add up to {num_tokens}, input_ids are {len(input_ids)}")
    if len(lengths) == 0 or int(lengths.min()) < 1:
        raise ValueError("a packed batch needs a sequence, and every sequence a token")
    layout = packed_layout(lengths.numpy())
    positions = _counted(lengths)
    rows = layout.starts.repeat_interleave(lengths) + positions
    num_rows = layout.num_packs * layout.pack_length
    columns = torch.zeros(3, num_rows, dtype=torch.int64)
    columns[0, rows] = input_ids
    columns[1, rows] = positions
    if segment_a_lengths is not None:
        columns[2, rows] = (positions >= segment_a_lengths.repeat_interleave(lengths)).long()
    return Tokens(
        input_ids=columns[0],
        position_ids=columns[1],
        token_type_ids=columns[2],
        layout=layout,
        num_tokens=num_tokens,
    )


@dataclass(frozen=True)
class PretrainingBatch:
    """Tokens and what is to be predicted of them."""

    tokens: Tokens
    masked_rows: Tensor
    """(M,) int64: which token rows are masked"""
    masked_lm_ids: Tensor
    """(M,) int64: what stood there"""
    next_sentence_labels: Tensor | None
    """(B,) int64: 0 = next, 1 = random; None where there is no such objective"""

    def to(self, device: torch.device) -> PretrainingBatch:
        """Return the same batch on another device."""
        labels = self.next_sentence_labels
        return PretrainingBatch(
            tokens=self.tokens.to(device),
            masked_rows=self.masked_rows.to(device, non_blocking=True),
            masked_lm_ids=self.masked_lm_ids.to(device, non_blocking=True),
            next_sentence_labels=None if labels is None else labels.to(device, non_blocking=True),
        )


def pack_pretraining_batch(
    input_ids: Tensor,
    lengths: Tensor,
    segment_a_lengths: Tensor | None,
    *,
    masked_lm_positions: Tensor,
    masked_lm_ids: Tensor,
    num_masked: Tensor,
    next_sentence_labels: Tensor | None,
) -> PretrainingBatch:
    """Pack instances whose columns lie one after another, all int64.

    `masked_lm_positions`, `masked_lm_ids`: (M,), positions counted within their sequence;
    `num_masked`: (B,), how many of them each sequence has. The rest as in `pack_tokens`.
    """
    tokens = pack_tokens(input_ids, lengths, segment_a_lengths)
    return PretrainingBatch(
        tokens=tokens,
        masked_rows=tokens.layout.starts.repeat_interleave(num_masked) + masked_lm_positions,
        masked_lm_ids=masked_lm_ids,
        next_sentence_labels=next_sentence_labels,
    )


def pack_causal_batch(
    input_ids: Tensor, lengths: Tensor, segment_a_lengths: Tensor | None
) -> PretrainingBatch:
    """Pack sequences of which every token but the last is to predict the one after it.

    `input_ids` are the text itself, without masks; all as in `pack_tokens`.
    """
    tokens = pack_tokens(input_ids, lengths, segment_a_lengths)
    num_predicting = lengths - 1
    rows = tokens.layout.starts.repeat_interleave(num_predicting) + _counted(num_predicting)
    return PretrainingBatch(
        tokens=tokens,
        masked_rows=rows,
        masked_lm_ids=tokens.input_ids[rows + 1],
        next_sentence_labels=None,
    )


def _counted(lengths: Tensor) -> Tensor:
    """Return 0, 1, … up to each length, one after another."""
    starts = torch.cumsum(lengths, 0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
