"""The parts that models are made of: maps, tables and normalisation, each in its rows' precision.

T token rows, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HiddenAct


class Linear(nn.Module):
    """An affine map computed in its input's precision; zero until `initialise` or a state dict."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in) to (…, out)."""
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class Embedding(nn.Module):
    """A table of vectors; zero until `initialise` or a state dict."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_embeddings, embedding_dim))

    def forward(self, ids: Tensor) -> Tensor:
        """Look up (T,) int64 as (T, dim) in the table's own precision."""
        return F.embedding(ids, self.weight)


class LayerNorm(nn.Module):
    """Layer normalisation, computed in float32 whatever the precision of the rows."""

    def __init__(self, hidden_size: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, H)."""
        # A processor's kernel takes bfloat16 rows as they are, but adds up the gradients of weight
        # and bias in bfloat16, too, where thousands of rows lose a third of their sum.
        wide = x.to(self.weight.dtype)
        return F.layer_norm(wide, self.bias.shape, self.weight, self.bias, self.eps).to(x.dtype)


def activation(name: HiddenAct) -> nn.Module:
    """Return the activation that Hugging Face's `hidden_act` names."""
    if name == "relu":
        return nn.ReLU()
    return nn.GELU(approximate="none" if name == "gelu" else "tanh")
