"""Packed attention by one flash kernel on a GPU, which takes sequences of any lengths.

Written for CUDA and tested for its logic only: no measurement stands behind it yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Borders:
    """Where each stretch of rows that attends to itself begins."""

    rows: Tensor
    """(stretches + 1,) int32: the first row of each, and the number of rows"""
    longest: int

    def to(self, device: torch.device) -> Borders:
        """Return the same borders on another device."""
        return replace(self, rows=self.rows.to(device, non_blocking=True))


def borders(sequence_of_row: npt.NDArray[np.int64]) -> Borders:
    """Find the borders of stretches of equal numbers; filler between sequences is one too."""
    inner = np.flatnonzero(np.diff(sequence_of_row)) + 1
    rows = np.concatenate(([0], inner, [len(sequence_of_row)])).astype(np.int32)
    return Borders(torch.from_numpy(rows), longest=int(np.diff(rows).max()))


@cache
def kernel() -> Callable[..., Any] | None:
    """Return torch's kernel; None before torch 2.10, which has none.

    Importing it loads torch's compiler, as long as all the rest of torch takes: only a GPU is worth
    that.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def supports(qkv: Tensor, *, num_heads: int) -> bool:
    """Tell whether the kernel takes such rows, (T, 3 · H): bfloat16, on a GPU that is fit for it.

    Its heads are multiples of 8 wide, up to 256 (FlashAttention 2, for Ampere and later).
    """
    if not qkv.is_cuda or qkv.dtype != torch.bfloat16 or kernel() is None:
        return False
    head_size = qkv.shape[1] // (3 * num_heads)
    fits = head_size % 8 == 0 and head_size <= 256
    return fits and torch.cuda.get_device_capability(qkv.device) >= (8, 0)


def attend_varlen(qkv: Tensor, within: Borders, *, num_heads: int, causal: bool) -> Tensor:
    """Mix values within each stretch: (T, 3 · H) → (T, H).

    The gradient is added up in a fixed order only where torch is told to use deterministic
    algorithms strictly, not with `warn_only`.
    """
    varlen_attn = kernel()
    assert varlen_attn is not None
    query, key, value = qkv.view(len(qkv), 3, num_heads, -1).unbind(1)
    attended = varlen_attn(
        query,
        key,
        value,
        within.rows,
        within.rows,
        within.longest,
        within.longest,
        window_size=(-1, 0) if causal else (-1, -1),
    )
    return attended.reshape(len(qkv), -1)
