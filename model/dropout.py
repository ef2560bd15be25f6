"""Dropout that is a pure function of a key: which units drop depends on nothing else.

Nothing random is carried from step to step, so a resumed run drops what the uninterrupted one
would have, and a micro-batch drops the same units whichever process computes it. Drawing is also
what makes dropout dear: torch's costs a third of a step on a processor, a random byte a unit
hardly anything.
"""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_RUN = 64
"""Neighbouring units that are held against one threshold."""
_BLOCK = 1 << 20
"""Units drawn from one stream: blocks have streams of their own, so that threads can share them."""


@dataclass(frozen=True)
class DropoutKey:
    """Names one micro-batch of one run; each place in the model draws its own stream from it."""

    seed: int
    step: int
    position: int
    """Where the micro-batch begins in its step's batch, in instances."""

    def stream(self, site: str, block: int = 0) -> int:
        """Return the 64-bit seed of one stream for one place in the model."""
        name = f"{self.seed} {self.step} {self.position} {site} {block}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def dropout(x: Tensor, prob: float, *, key: DropoutKey | None, site: str) -> Tensor:
    """Zero each element with probability `prob` and scale the rest by `1 / (1 - prob)`.

    Without a key, or at probability 0, `x` comes back as it is.
    """
    return drop(x, draw(x, prob, key=key, site=site), prob)


def draw(x: Tensor, prob: float, *, key: DropoutKey | None, site: str) -> Tensor | None:
    """Draw which units of a tensor like `x` are kept, uint8; None where all are."""
    if key is None or prob == 0:
        return None
    return draw_keep(x.shape, prob, key=key, site=site, device=x.device)


def drop(x: Tensor, keep: Tensor | None, prob: float) -> Tensor:
    """Zero what was drawn to be dropped with probability `prob`, and scale the rest."""
    if keep is None:
        return x
    scale = 1 / (1 - prob)
    if torch.compiler.is_compiling():
        return x * keep * scale
    return _Dropout.apply(x, keep, scale)


def draw_keep(
    shape: torch.Size, prob: float, *, key: DropoutKey, site: str, device: torch.device
) -> Tensor:
    """Draw uint8 of this shape that is 0 with probability `prob`, to 1/65536, and 1 otherwise.

    On a processor a unit drops where its random byte is below 256 · prob. Where that is no whole
    number, runs of 64 units take the one above or the one below, drawn so that each unit's
    probability is right; what that ties neighbours together by (a correlation of 4e-5 at 0.1) is
    far below notice. Other devices draw for themselves, and never wait for the processor.
    """
    if device.type != "cpu":
        return _drawn_by(device, shape, prob, seed=key.stream(site))
    keep = np.empty(math.prod(shape), dtype=np.bool_)
    blocks = range(-(-len(keep) // _BLOCK))

    def fill(block: int) -> None:
        _fill_keep(
            keep[block * _BLOCK : (block + 1) * _BLOCK],
            prob,
            np.random.Generator(np.random.SFC64(key.stream(site, block))),
        )

    if len(blocks) == 1 or torch.get_num_threads() == 1:
        for block in blocks:
            fill(block)
    else:
        list(_threads(torch.get_num_threads()).map(fill, blocks))
    return torch.from_numpy(keep.view(np.uint8)).view(shape)


def _drawn_by(device: torch.device, shape: torch.Size, prob: float, *, seed: int) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    keep = torch.empty(shape, dtype=torch.uint8, device=device)
    return keep.bernoulli_(1 - prob, generator=generator)


def _fill_keep(keep: npt.NDArray[np.bool_], prob: float, generator: np.random.Generator) -> None:
    num_runs = -(-len(keep) // _RUN)
    num_words = -(-num_runs * (1 + _RUN) // 8)
    drawn = generator.integers(0, 1 << 64, size=num_words, dtype=np.uint64).view(np.uint8)
    threshold, remainder = divmod(round(prob * 65536), 256)
    thresholds = np.uint8(threshold) + (drawn[:num_runs] < remainder)
    units = drawn[num_runs : num_runs * (1 + _RUN)].reshape(num_runs, _RUN)
    keep[:] = (units >= thresholds[:, None]).reshape(-1)[: len(keep)]


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="dropout")


class _Dropout(torch.autograd.Function):
    """Multiplying by bytes: torch's own product with a bool tensor is three times slower."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (x * keep).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (grad_outputs[0] * keep).mul_(ctx.scale), None, None
