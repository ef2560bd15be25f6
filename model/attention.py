"""Scaled dot-product attention within packs of token rows (Vaswani et al. 2017, 3.2.1).

The gradient is written out by hand. What autograd would keep and copy for views, masks and dropout
costs as much as the products themselves, and torch's own fused kernel is, on a processor, slower
than this in bfloat16 and has no dropout.

P packs, S positions of a pack, T = P · S token rows, N heads, D head size, H = N · D hidden; a pack
has one matrix for each head, P · N in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dropout import DropoutKey, draw_keep


@dataclass(frozen=True)
class AttentionDropout:
    """Which attention probabilities drop: those of one place in the model."""

    prob: float
    key: DropoutKey
    site: str


def attend(
    qkv: Tensor,
    *,
    num_packs: int,
    num_heads: int,
    apart: Tensor | None,
    causal: bool,
    dropout: AttentionDropout | None,
) -> Tensor:
    """Mix values by softmax(query · key / √D) within each pack.

    `qkv`: (T, 3 · H), query, key and value side by side; returns (T, H). `apart`: (m, S or 1, S)
    bool, which position of the last m packs must not attend to which. With `causal`, no token sees
    a later one.
    """
    return _Attention.apply(qkv, num_packs, num_heads, apart, causal, dropout)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        num_packs: int,
        num_heads: int,
        apart: Tensor | None,
        causal: bool,
        dropout: AttentionDropout | None,
    ) -> Tensor:
        query, key, value = _by_head(qkv, 3, num_packs, num_heads)
        scale = query.shape[-1] ** -0.5
        scores = torch.bmm(query.mul_(scale), key.transpose(1, 2))
        _hide(scores, num_heads, apart, causal=causal)
        probs = torch.softmax(scores, dim=-1)
        keep = None
        if dropout is not None:
            keep = draw_keep(
                probs.shape, dropout.prob, key=dropout.key, site=dropout.site, device=probs.device
            )
        context = torch.bmm(_dropped(probs, keep), value)
        attended = _by_row(context[None], num_packs)
        ctx.rescale = 1.0 if dropout is None else 1 / (1 - dropout.prob)
        if dropout is not None:
            attended.mul_(ctx.rescale)
        ctx.save_for_backward(query, key, value, probs, keep)
        ctx.num_packs, ctx.num_heads, ctx.scale = num_packs, num_heads, scale
        return attended

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        query, key, value, probs, keep = ctx.saved_tensors
        (grad_context,) = _by_head(grad_outputs[0], 1, ctx.num_packs, ctx.num_heads)
        grad_context.mul_(ctx.rescale)
        grads = torch.empty((3, *query.shape), dtype=query.dtype, device=query.device)
        torch.bmm(_dropped(probs, keep).transpose(1, 2), grad_context, out=grads[2])
        grad_probs = torch.bmm(grad_context, value.transpose(1, 2))
        if keep is not None:
            grad_probs.mul_(keep)
        grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
        # The query was scaled in place: its own gradient still has to be.
        torch.bmm(grad_scores, key, out=grads[0]).mul_(ctx.scale)
        torch.bmm(grad_scores.transpose(1, 2), query, out=grads[1])
        return _by_row(grads, ctx.num_packs), None, None, None, None, None


def _by_head(rows: Tensor, parts: int, num_packs: int, num_heads: int) -> Tensor:
    """Copy rows (T, parts · H) into (parts, P · N, S, D)."""
    split = rows.view(num_packs, -1, parts, num_heads, rows.shape[1] // (parts * num_heads))
    split = split.permute(2, 0, 3, 1, 4)
    copied = torch.empty(split.shape, dtype=rows.dtype, device=rows.device).copy_(split)
    return copied.flatten(1, 2)


def _by_row(by_head: Tensor, num_packs: int) -> Tensor:
    """Copy (parts, P · N, S, D) into rows (T, parts · H)."""
    split = by_head.unflatten(1, (num_packs, -1)).permute(1, 3, 0, 2, 4)
    return split.reshape(num_packs * by_head.shape[2], -1)


def _hide(scores: Tensor, num_heads: int, apart: Tensor | None, *, causal: bool) -> None:
    """Lower the scores, (P · N, S, S), of what may not be attended to, in place."""
    # Not -inf: a sequence that is all padding would turn into NaN.
    lowest = torch.finfo(scores.dtype).min
    if apart is not None:
        last = scores.unflatten(0, (-1, num_heads))[-len(apart) :]
        last.masked_fill_(apart[:, None], lowest)
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
        scores.masked_fill_(later, lowest)


def _dropped(probs: Tensor, keep: Tensor | None) -> Tensor:
    return probs if keep is None else probs * keep
