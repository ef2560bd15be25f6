"""Packed attention by one flash kernel on a GPU, where neither padding nor groups are needed.

Written for CUDA and tested for its logic only: no measurement stands behind it yet.
"""

from __future__ import annotations

import torch
from torch import Tensor

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None


def supports(qkv: Tensor) -> bool:
    """Tell whether the kernel takes such rows: half precision, on a GPU."""
    return varlen_attn is not None and qkv.is_cuda and qkv.dtype in (torch.bfloat16, torch.float16)


def attend_varlen(
    qkv: Tensor, cumulative_lengths: Tensor, *, longest: int, num_heads: int, causal: bool
) -> Tensor:
    """Mix values within each sequence: (T, 3 · H) → (T, H).

    `cumulative_lengths`: (B + 1,) int32, the row where each sequence begins, and the end.
    """
    assert varlen_attn is not None
    query, key, value = qkv.view(len(qkv), 3, num_heads, -1).unbind(1)
    attended = varlen_attn(
        query,
        key,
        value,
        cumulative_lengths,
        cumulative_lengths,
        longest,
        longest,
        window_size=(-1, 0) if causal else (-1, -1),
    )
    assert isinstance(attended, Tensor)
    return attended.reshape(len(qkv), -1)
