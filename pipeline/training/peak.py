"""How fast a machine multiplies matrices: what useful arithmetic is held against."""

from __future__ import annotations

import time

import torch

from ...model.precision import Precision

_SIZES = {"cpu": 1024, "cuda": 8192, "mps": 4096}
_SECONDS = 0.3
"""Long enough that a machine which others use too has a moment of its own"""


def measured_peak(device: torch.device, precision: Precision) -> float:
    """Return the FLOP/s of a large square matrix product: the best of many, within 0.3 seconds."""
    size = _SIZES[device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    one = torch.ones(size, size, dtype=dtype, device=device)
    best = float("inf")
    end = time.perf_counter() + _SECONDS
    while (begun := time.perf_counter()) < end or best == float("inf"):
        product = one @ one
        # Reading a value waits for the device, whatever it is.
        product[0, 0].item()
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best
