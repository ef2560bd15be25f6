"""Instances that are alike though chance would hardly make them so: a row written twice, a copy
that repeats the one before it.

Shapes: R instances of one shard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .rows import Ints, Keys, Rows

Numbers = npt.NDArray[np.float64]

_IMPROBABLE = 1e-6
"""Expected coincidences, of which one is too many. A short text is masked alike now and then."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Likeness:
    """Hashes of a shard's rows: (R,) of the text alone, (R,) of everything.

    `chance`: (R,) how likely another row of the same text is to be the same altogether.
    """

    text: Keys
    whole: Keys
    chance: Numbers

    @classmethod
    def of(cls, rows: Rows, *, num_special: int, whole_words: bool) -> Likeness:
        """Hash a block of rows."""
        column = np.arange(len(rows.ids)) - np.repeat(rows.starts, rows.lengths)
        text = _summed(_mixed(rows.restored, column), rows.starts) + rows.a_lengths.astype(
            np.uint64
        )
        shown = _summed(
            _mixed(rows.ids[rows.places], rows.positions), _starts(rows.prediction_ends)
        )
        candidates = np.maximum(rows.lengths - num_special, 1)
        chosen = np.minimum(rows.num_predictions, candidates)
        bits = _log2_choose(candidates, chosen)
        # Words are fewer than tokens, and so are the ways to choose among them.
        return cls(text, text * _FACTOR + shown, 2.0 ** -(bits / 2 if whole_words else bits))

    @classmethod
    def joined(cls, parts: Iterable[Likeness]) -> Likeness:
        """Join blocks of rows."""
        parts = tuple(parts)
        nothing = np.zeros(0, np.uint64)
        return cls(
            np.concatenate([nothing, *(each.text for each in parts)]),
            np.concatenate([nothing, *(each.whole for each in parts)]),
            np.concatenate([np.zeros(0), *(each.chance for each in parts)]),
        )

    def repeats(self) -> int:
        """Return how many pairs of rows are alike that chance can't have made so."""
        return self._improbable(self._text_pairs())

    def repeats_of(self, other: Likeness) -> int:
        """Return the same of pairs of a row of each."""
        both = Likeness.joined((self, other))
        pairs = both._text_pairs()
        return both._improbable(pairs) - self._improbable(pairs) - other._improbable(pairs)

    def _text_pairs(self) -> int:
        return _pairs(np.unique(self.text, return_counts=True)[1])

    def _improbable(self, text_pairs: int) -> int:
        """Count pairs alike of which so many pairs of one text should have less than one."""
        _, first, counts = np.unique(self.whole, return_index=True, return_counts=True)
        return _pairs(counts[self.chance[first] * text_pairs < _IMPROBABLE])


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _mixed(ids: Ints, places: Ints) -> Keys:
    h = (ids.astype(np.uint64) << np.uint64(20)) + places.astype(np.uint64) + np.uint64(1)
    for shift in (29, 32):
        h = h * _FACTOR
        h ^= h >> np.uint64(shift)
    return h


def _summed(values: Keys, starts: Ints) -> Keys:
    return np.add.reduceat(values, starts) if len(starts) else values[:0]


def _starts(ends: Ints) -> Ints:
    return np.concatenate(([0], ends[:-1])) if len(ends) else ends


def _log2_choose(n: Ints, k: Ints) -> Numbers:
    log2_factorial = np.cumsum(np.log2(np.maximum(np.arange(int(n.max(initial=0)) + 1), 1)))
    return log2_factorial[n] - log2_factorial[k] - log2_factorial[n - k]
