"""Is every document in every copy, and none of those held out in any.

A copy is a contiguous set of shards, and shard i of each copy is made of the same documents: so
what has to be kept in memory are sums, and the documents that are held out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .rows import Keys, Rows

_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True)
class DocumentSet:
    """The documents of one shard: how many different ones, and a sum that tells sets apart."""

    size: int
    digest: int


@dataclass
class Documents:
    """Gathers the documents of one shard, then what the shards of all copies say together."""

    held_out: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))
    faults: Counter[str] = field(default_factory=Counter)
    _a: list[Keys] = field(default_factory=list)
    _b: list[Keys] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Note the documents of a block of rows."""
        self._a.append(np.unique(rows.document_a))
        self._b.append(np.unique(rows.document_b))

    def close(self, *, is_held_out: bool) -> DocumentSet:
        """End a shard; return the documents that an A is from, which are all of its own."""
        a, b = _joined(self._a), _joined(self._b)
        self._a, self._b = [], []
        if is_held_out:
            self.held_out = np.union1d(self.held_out, np.union1d(a, b))
        else:
            both = np.union1d(a, b)
            self.faults["held-out documents stay out"] += int(np.isin(both, self.held_out).sum())
        if len(a) > 1:  # a shard of a single document borrows its random B elsewhere
            self.faults["B is from the shard's documents"] += int((~np.isin(b, a)).sum())
        return DocumentSet(len(a), _digest(a))


def _joined(parts: list[Keys]) -> Keys:
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)


def _digest(keys: Keys) -> int:
    h = keys * _FACTORS[0]
    h ^= h >> np.uint64(31)
    h *= _FACTORS[1]
    return int((h ^ (h >> np.uint64(29))).sum(dtype=np.uint64))
