"""The order of instances: a pure function of seed, epoch and position, computed where it is asked.

Nothing is shuffled in memory and no array grows with the corpus, so starting at step 1,000,000
costs what starting at step 0 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..randomness import mixed

Ints = npt.NDArray[np.int64]
_BLOCK_ROWS = 16
"""Rows that stay together, about a page of the disk; neighbours in a shard are strangers anyway."""
_ROUNDS = 4


@dataclass(frozen=True)
class Order:
    """An endless stream of epochs over a corpus in several copies.

    Epoch e reads copy e mod C; `copy_sizes`: the rows of each of the C copies.
    """

    copy_sizes: Sequence[int]
    seed: int

    def rows(self, positions: Ints) -> Ints:
        """Return which row of all copies, one after another, stands at each position."""
        ends = np.cumsum(self.copy_sizes, dtype=np.int64)
        cycle, within = np.divmod(positions, ends[-1])
        copy = np.searchsorted(ends, within, "right")
        starts = ends - np.asarray(self.copy_sizes, np.int64)
        rows = np.empty_like(positions)
        epochs = cycle * len(ends) + copy
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            number = epoch % len(ends)
            start, size = int(starts[number]), int(self.copy_sizes[number])
            rows[here] = start + self._shuffled(within[here] - start, size, epoch)
        return rows

    def epoch_at(self, position: int) -> float:
        """Return how many epochs lie before a position, with the part of one that is under way."""
        total = sum(self.copy_sizes)
        cycle, within = divmod(position, total)
        done = cycle * len(self.copy_sizes)
        for size in self.copy_sizes:
            if within < size:
                return done + within / size
            within -= size
            done += 1
        return float(done)

    def _shuffled(self, positions: Ints, size: int, epoch: int) -> Ints:
        """Permute 0 … size - 1 by whole blocks of rows; a last short block stays last."""
        block, offset = np.divmod(positions, _BLOCK_ROWS)
        num_blocks = size // _BLOCK_ROWS
        whole = block < num_blocks
        block[whole] = permuted(block[whole], num_blocks, self.seed, epoch)
        return block * _BLOCK_ROWS + offset


def permuted(values: Ints, size: int, seed: int, epoch: int) -> Ints:
    """Map numbers below `size` one to one onto numbers below `size`, as the key says.

    A Feistel network over the next power of four, walked until it lands below `size` again
    (Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    if size <= 1:
        return values
    half = np.uint64(-(-(size - 1).bit_length() // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    result = values.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        left, right = result[walking] >> half, result[walking] & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (mixed(right, seed, "order", epoch, number) & mask)
        result[walking] = (left << half) | right
        walking = walking[result[walking] >= size]
    return result.astype(np.int64)
