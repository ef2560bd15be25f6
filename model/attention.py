"""Scaled dot-product attention within sequences (Vaswani et al. 2017, 3.2.1), group by group.

The gradient is written out by hand. What autograd would keep and copy for views, masks and dropout
costs as much as the products themselves, and torch's own fused kernel is, on a processor, slower
than this in bfloat16 and has no dropout.

T token rows, N heads, D head size, H = N · D hidden; b sequences of a group, s positions of its
longest, n = b · N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dropout import DropoutKey, draw_keep


@dataclass(frozen=True)
class Group:
    """Sequences that attention computes together as a rectangle of b · s positions."""

    num_sequences: int
    length: int
    rows: slice | Tensor
    """Which token rows: a stretch of b · s, or (b · s,) int64 where they have to be gathered."""
    key_mask: Tensor | None
    """(b, s) bool: which positions may be attended to; None where all may"""

    @property
    def real(self) -> Tensor:
        """Which of the gathered rows are tokens and not padding: (b · s,) bool."""
        assert self.key_mask is not None
        return self.key_mask.view(-1)

    def to(self, device: torch.device) -> Group:
        """Return the same group on another device."""
        return replace(
            self,
            rows=self.rows if isinstance(self.rows, slice) else self.rows.to(device),
            key_mask=None if self.key_mask is None else self.key_mask.to(device),
        )


@dataclass(frozen=True)
class AttentionDropout:
    """Which attention probabilities drop: those of one place in the model."""

    prob: float
    key: DropoutKey
    site: str


def attend(
    qkv: Tensor,
    groups: Sequence[Group],
    *,
    num_heads: int,
    causal: bool,
    dropout: AttentionDropout | None,
) -> Tensor:
    """Mix values by softmax(query · key / √D) within each sequence.

    `qkv`: (T, 3 · H), query, key and value side by side; returns (T, H). Every row is in exactly
    one group. With `causal`, no token sees a later one.
    """
    return _Attention.apply(qkv, tuple(groups), num_heads, causal, dropout)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        groups: tuple[Group, ...],
        num_heads: int,
        causal: bool,
        dropout: AttentionDropout | None,
    ) -> Tensor:
        hidden_size = qkv.shape[1] // 3
        scale = (hidden_size // num_heads) ** -0.5
        attended = qkv.new_empty(len(qkv), hidden_size)
        kept: list[Tensor | None] = []
        for number, group in enumerate(groups):
            query, key, value = _heads(qkv, group, 3, num_heads)
            scores = torch.bmm(query.mul_(scale), key.transpose(1, 2))
            _hide(scores, group, num_heads, causal=causal)
            probs = torch.softmax(scores, dim=-1)
            keep = None if dropout is None else _draw_keep(probs, dropout, number)
            _put(attended, group, torch.bmm(_dropped(probs, keep), value)[None], num_heads)
            kept += query, key, value, probs, keep
        if dropout is not None:
            attended.mul_(1 / (1 - dropout.prob))
        ctx.save_for_backward(*kept)
        ctx.groups, ctx.num_heads, ctx.scale, ctx.dropout = groups, num_heads, scale, dropout
        return attended

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        (grad_attended,) = grad_outputs
        if ctx.dropout is not None:
            grad_attended = grad_attended * (1 / (1 - ctx.dropout.prob))
        num_rows, hidden_size = grad_attended.shape
        grad_qkv = grad_attended.new_empty(num_rows, 3 * hidden_size)
        kept = iter(ctx.saved_tensors)
        for group in ctx.groups:
            query, key, value, probs, keep = (next(kept) for _ in range(5))
            (grad_context,) = _heads(grad_attended, group, 1, ctx.num_heads)
            grads = torch.empty((3, *query.shape), dtype=query.dtype, device=query.device)
            torch.bmm(_dropped(probs, keep).transpose(1, 2), grad_context, out=grads[2])
            grad_probs = torch.bmm(grad_context, value.transpose(1, 2))
            if keep is not None:
                grad_probs.mul_(keep)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            # The query was scaled in place: its own gradient still has to be.
            torch.bmm(grad_scores, key, out=grads[0]).mul_(ctx.scale)
            torch.bmm(grad_scores.transpose(1, 2), query, out=grads[1])
            _put(grad_qkv, group, grads, ctx.num_heads)
        return grad_qkv, None, None, None, None


def _heads(rows: Tensor, group: Group, parts: int, num_heads: int) -> Tensor:
    """Copy a group's rows (T, parts · H) into (parts, n, s, D), a matrix for each head."""
    shape = (group.num_sequences, group.length, parts, num_heads, -1)
    taken = rows[group.rows]
    if not isinstance(group.rows, slice):
        # What padding asks for is thrown away, and so must be the gradient of its asking.
        taken[~group.real] = 0
    by_head = taken.view(shape).permute(2, 0, 3, 1, 4)
    copied = torch.empty(by_head.shape, dtype=rows.dtype, device=rows.device).copy_(by_head)
    return copied.view(parts, group.num_sequences * num_heads, group.length, -1)


def _put(rows: Tensor, group: Group, by_head: Tensor, num_heads: int) -> None:
    """Copy (parts, n, s, D) back into a group's rows of (T, parts · H); padding goes nowhere."""
    parts, _, length, head_size = by_head.shape
    back = by_head.view(parts, group.num_sequences, num_heads, length, head_size)
    back = back.permute(1, 3, 0, 2, 4)
    if isinstance(group.rows, slice):
        rows[group.rows].view(back.shape).copy_(back)
    else:
        rows[group.rows[group.real]] = back.reshape(len(group.rows), -1)[group.real]


def _hide(scores: Tensor, group: Group, num_heads: int, *, causal: bool) -> None:
    """Lower the scores of what may not be attended to, in place; scores: (n, s, s)."""
    # Not -inf: a sequence that is all padding would turn into NaN.
    lowest = torch.finfo(scores.dtype).min
    if group.key_mask is not None:
        by_sequence = scores.view(group.num_sequences, num_heads, group.length, group.length)
        by_sequence.masked_fill_(~group.key_mask[:, None, None, :], lowest)
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
        scores.masked_fill_(later, lowest)


def _draw_keep(probs: Tensor, dropout: AttentionDropout, number: int) -> Tensor:
    return draw_keep(
        probs.shape,
        dropout.prob,
        key=dropout.key,
        site=f"{dropout.site} {number}",
        device=probs.device,
    )


def _dropped(probs: Tensor, keep: Tensor | None) -> Tensor:
    return probs if keep is None else probs * keep
