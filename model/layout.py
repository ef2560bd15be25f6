"""How a batch's sequences lie in its token rows, and attention within each of them.

The rows are a rectangle of packs, each holding one sequence or several short ones, so that hardly a
row is padding (Krell et al. 2021, "Efficient sequence packing without cross-contamination"). The
rest of the encoder works on rows and never learns which of them are neighbours.

B sequences, P packs, S positions of a pack, T = P · S token rows, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from . import varlen
from .attention import AttentionDropout, attend

SHAPE_STEP = 32
"""Packs are a multiple of this long, and masked rows of this many. Kernels are built for a shape at
its first use, which for a small model takes longer than running them: shapes have to be few."""


@dataclass(frozen=True)
class Layout:
    """Where each sequence's rows are, and which rows belong together."""

    starts: Tensor
    """(B,) int64: the row of each sequence's first token, in the order the batch was given"""
    num_packs: int
    pack_length: int
    apart: Tensor | None
    """(m, S or 1, S) bool, for the last m packs: which position must not attend to which"""
    varlen: varlen.Borders | None
    """The same for a kernel that takes any lengths"""

    def attend(
        self, qkv: Tensor, *, num_heads: int, causal: bool, dropout: AttentionDropout | None
    ) -> Tensor:
        """Let every token attend to its own sequence's tokens; qkv: (T, 3 · H) → (T, H).

        With `causal`, to none that comes later.
        """
        # The flash kernel has no dropout of probabilities; ours is never silently left out.
        flash = dropout is None and varlen.supports(qkv, num_heads=num_heads)
        if self.varlen is not None and flash:
            return varlen.attend_varlen(qkv, self.varlen, num_heads=num_heads, causal=causal)
        return attend(
            qkv,
            num_packs=self.num_packs,
            num_heads=num_heads,
            apart=self.apart,
            causal=causal,
            dropout=dropout,
        )

    def to(self, device: torch.device) -> Layout:
        """Return the same layout on another device."""
        return replace(
            self,
            starts=self.starts.to(device, non_blocking=True),
            apart=None if self.apart is None else self.apart.to(device, non_blocking=True),
            varlen=None if self.varlen is None else self.varlen.to(device),
        )


def padded_layout(
    num_sequences: int,
    length: int,
    attention_mask: Tensor | None,
    *,
    device: torch.device,
) -> Layout:
    """Lay out a padded (B, S) batch, a sequence a pack; `attention_mask` is 1 where to attend."""
    if attention_mask is not None and attention_mask.shape != (num_sequences, length):
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)}, the batch {(num_sequences, length)}"
        )
    return Layout(
        starts=torch.arange(num_sequences, device=device) * length,
        num_packs=num_sequences,
        pack_length=length,
        apart=None if attention_mask is None else (attention_mask == 0)[:, None, :],
        varlen=None,
    )


def packed_layout(lengths: npt.NDArray[np.int64]) -> Layout:
    """Put sequences of these lengths, (B,), into as few packs as first-fit-decreasing finds."""
    pack_length = -(-int(lengths.max()) // SHAPE_STEP) * SHAPE_STEP
    starts, num_packs = _first_fit(lengths, pack_length)
    sequence_of_row = np.full(num_packs * pack_length, -1)
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        sequence_of_row[start : start + length] = number
    packs = sequence_of_row.reshape(num_packs, pack_length)
    num_whole = int((lengths == pack_length).sum())
    mixed = packs[num_whole:]
    return Layout(
        starts=torch.from_numpy(starts),
        num_packs=num_packs,
        pack_length=pack_length,
        apart=torch.from_numpy(mixed[:, :, None] != mixed[:, None, :]) if len(mixed) else None,
        varlen=varlen.borders(sequence_of_row),
    )


def _first_fit(lengths: npt.NDArray[np.int64], capacity: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return where each sequence begins, and how many packs there are; full packs come first."""
    starts = np.empty_like(lengths)
    free = np.full(len(lengths), capacity)
    for number in np.argsort(-lengths, kind="stable"):
        length = lengths[number]
        pack = int(np.argmax(free >= length))
        starts[number] = (pack + 1) * capacity - free[pack]
        free[pack] -= length
    return starts, int((free < capacity).sum())
