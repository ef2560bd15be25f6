"""Dropout that is a pure function of a key: which units drop depends on nothing else.

Nothing random is carried from step to step, so a resumed run drops what the uninterrupted one
would have, and a micro-batch drops the same units whichever process computes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class DropoutKey:
    """Names one micro-batch of one run; each place in the model draws its own stream from it."""

    seed: int
    step: int
    position: int
    """Where the micro-batch begins in its step's batch, in instances."""

    def stream(self, site: str) -> int:
        """Return the 128-bit seed of the stream for one place in the model."""
        name = f"{self.seed} {self.step} {self.position} {site}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")


def dropout(x: Tensor, prob: float, *, key: DropoutKey | None, site: str) -> Tensor:
    """Zero each element with probability `prob` and scale the rest by `1 / (1 - prob)`.

    Without a key, or at probability 0, `x` comes back as it is.
    """
    if key is None or prob == 0:
        return x
    return x * keep_mask(x.shape, prob, key=key, site=site, device=x.device) * (1 / (1 - prob))


def keep_mask(
    shape: torch.Size, prob: float, *, key: DropoutKey, site: str, device: torch.device
) -> Tensor:
    """Draw a bool tensor that is False with probability `prob`, rounded to 1/65536."""
    generator = np.random.Generator(np.random.SFC64(key.stream(site)))
    drawn = generator.integers(0, 1 << 16, size=tuple(shape), dtype=np.uint16)
    return torch.from_numpy(drawn >= round(prob * (1 << 16))).to(device)
