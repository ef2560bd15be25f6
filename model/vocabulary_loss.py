"""Cross entropy over the vocabulary, a few rows at a time, so that logits never fill memory.

M masked tokens, H hidden, V vocabulary.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def vocabulary_loss(
    hidden_states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy, float32, and how many labels scored highest, int64.

    `hidden_states`: (M, H) in the precision to compute in; `weight`: (V, H), `bias`: (V,);
    `labels`: (M,) int64 below V.
    """
    dtype = hidden_states.dtype
    logits = F.linear(hidden_states, weight.to(dtype), bias.to(dtype)).to(weight.dtype)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return loss, (logits.argmax(dim=1) == labels).sum()
