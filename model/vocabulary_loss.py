"""Cross entropy over the vocabulary, a few rows at a time, so that logits never fill memory.

The gradient of a softmax is nearly the softmax itself: each stretch of rows is turned from logits
into loss and gradient while it is in the processor's cache, and logits are never kept.

M masked tokens, H hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_KEPT_ROWS = 1024
"""Rows whose logit gradients are held at once: 60 MB in bfloat16 at BERT's vocabulary. Many, for
the weight's gradient is a product over rows, added up in float32 once for each such block."""
_CACHED_ROWS = 128
"""Rows turned from logits to gradients at once on a processor: 15 MB in float32, within a shared
cache. A GPU takes all that are held: it has no such cache, and small kernels leave it idle."""


def vocabulary_loss(
    hidden_states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy in nats and how many labels scored highest, int64.

    `hidden_states`: (M, H) in the precision of the matrix products; `weight`: (V, H) and `bias`:
    (V,), float32, as are softmax and loss; `labels`: int64 below V, of the first rows: the rows
    after them count for nothing. A label that shares the highest score counts as right.
    """
    loss, correct = _VocabularyLoss.apply(hidden_states, weight, bias, labels)
    return loss, correct


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad)
        table = weight.to(hidden_states.dtype)
        loss = weight.new_zeros(())
        correct = labels.new_zeros(())
        grad_hidden = torch.empty_like(hidden_states) if wanted else None
        grad_weight = None
        grad_bias = torch.zeros_like(bias) if wanted else None
        cached_rows = _CACHED_ROWS if hidden_states.device.type == "cpu" else _KEPT_ROWS
        for first in range(0, len(hidden_states), _KEPT_ROWS):
            block = hidden_states[first : first + _KEPT_ROWS]
            kept = block.new_empty(len(block), len(bias)) if wanted else None
            for start in range(0, len(block), cached_rows):
                part = block[start : start + cached_rows]
                part_labels = labels[first + start : first + start + len(part)]
                logits = torch.mm(part, table.t()).to(weight.dtype).add_(bias)
                probs, losses, hits = _scored(logits, part_labels)
                loss += losses.sum()
                correct += hits.sum()
                if kept is not None and grad_bias is not None:
                    _take_away_labels(probs, part_labels)
                    grad_bias += probs.sum(0)
                    kept[start : start + len(part)] = probs
            if kept is not None and grad_hidden is not None:
                torch.mm(kept, table, out=grad_hidden[first : first + len(block)])
                product = torch.mm(kept.t(), block).to(weight.dtype)
                grad_weight = product if grad_weight is None else grad_weight.add_(product)
        ctx.gradients = (grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        assert gradients is not None, "this loss has been differentiated before"
        # They are nobody else's: scaling them in place saves as much memory again.
        return *(None if each is None else each.mul_(grad_outputs[0]) for each in gradients), None


def _scored(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return all rows' softmax, and for those with a label its loss and whether it is right."""
    probs = torch.softmax(logits, dim=1)
    labelled = slice(0, len(labels))
    highest = logits[labelled].amax(dim=1)
    scores = logits[labelled].gather(1, labels[:, None]).squeeze(1)
    # The softmax of the highest logit is 1 / Σ exp(logit - highest), and never underflows.
    losses = highest - scores - probs[labelled].amax(dim=1).log()
    return probs, losses, scores == highest


def _take_away_labels(probs: Tensor, labels: Tensor) -> None:
    """Turn softmax into the loss's gradient for the logits, in place."""
    probs[torch.arange(len(labels), device=labels.device), labels] -= 1
    probs[len(labels) :] = 0
