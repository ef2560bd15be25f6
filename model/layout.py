"""How a batch's sequences lie in its token rows, and attention within each of them.

The rest of the encoder works on rows and never learns which of them are neighbours.

B sequences, S positions of the longest, T token rows, H hidden; b sequences of a group, s positions
of its longest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from . import varlen
from .attention import AttentionDropout, Group, attend


@dataclass(frozen=True)
class Layout:
    """Where each sequence's rows are."""

    starts: Tensor
    """(B,) int64: the row of each sequence's first token, in the order the batch was given"""
    groups: tuple[Group, ...]
    causal: bool
    cumulative_lengths: Tensor | None
    """(B + 1,) int32: where each sequence's rows begin, in the order of the rows, and where the
    last ends; None for a padded batch"""
    longest: int

    def attend(self, qkv: Tensor, *, num_heads: int, dropout: AttentionDropout | None) -> Tensor:
        """Let every token attend to its own sequence's tokens; qkv: (T, 3 · H) → (T, H)."""
        # The flash kernel has no dropout of probabilities; ours is never silently left out.
        if self.cumulative_lengths is not None and dropout is None and varlen.supports(qkv):
            return varlen.attend_varlen(
                qkv,
                self.cumulative_lengths,
                longest=self.longest,
                num_heads=num_heads,
                causal=self.causal,
            )
        return attend(qkv, self.groups, num_heads=num_heads, causal=self.causal, dropout=dropout)

    def to(self, device: torch.device) -> Layout:
        """Return the same layout on another device."""
        return replace(
            self,
            starts=self.starts.to(device),
            groups=tuple(group.to(device) for group in self.groups),
            cumulative_lengths=(
                None if self.cumulative_lengths is None else self.cumulative_lengths.to(device)
            ),
        )


def padded_layout(
    num_sequences: int,
    length: int,
    attention_mask: Tensor | None,
    *,
    causal: bool,
    device: torch.device,
) -> Layout:
    """Lay out a padded (B, S) batch row by row; `attention_mask` is 1 where to attend."""
    if attention_mask is not None and attention_mask.shape != (num_sequences, length):
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)}, the batch {(num_sequences, length)}"
        )
    group = Group(
        num_sequences=num_sequences,
        length=length,
        rows=slice(0, num_sequences * length),
        key_mask=None if attention_mask is None else attention_mask.bool(),
    )
    starts = torch.arange(num_sequences, device=device) * length
    return Layout(
        starts=starts, groups=(group,), causal=causal, cumulative_lengths=None, longest=length
    )


def packed_layout(sorted_lengths: Tensor, order: Tensor, *, causal: bool) -> Layout:
    """Lay out sequences one after another, longest first.

    `sorted_lengths`: (B,) int64; `order`: (B,) int64, which given sequence each of them is.
    """
    borders = F.pad(torch.cumsum(sorted_lengths, 0), (1, 0))
    starts = torch.empty_like(sorted_lengths)
    starts[order] = borders[:-1]
    return Layout(
        starts=starts,
        groups=tuple(_groups(sorted_lengths, borders[:-1])),
        causal=causal,
        cumulative_lengths=borders.int(),
        longest=int(sorted_lengths[0]),
    )


def _groups(lengths: Tensor, starts: Tensor) -> list[Group]:
    """Cut sequences, longest first, into rectangles: exact where many are of one length."""
    groups: list[Group] = []
    first = 0
    while first < len(lengths):
        length = int(lengths[first])
        # Lengths fall, so whatever is close enough to the first of a group comes right after it.
        last = first + int((lengths[first:] > length * 7 // 8).sum())
        same = first + int((lengths[first:] == length).sum())
        if same == last or same - first >= 8:
            begin = int(starts[first])
            rows = slice(begin, begin + (same - first) * length)
            groups.append(Group(same - first, length, rows, None))
            first = same
            continue
        positions = torch.arange(length)
        key_mask = positions < lengths[first:last, None]
        rows = torch.where(key_mask, starts[first:last, None] + positions, starts[first])
        groups.append(Group(last - first, length, rows.reshape(-1), key_mask))
        first = last
    return groups
