"""Which pair of pieces is merged next, told from the counts in a row of pieces as they change."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Literal, Protocol

import numpy as np

from .pairs import Change, PairRow, symbols_of

Algorithm = Literal["bpe", "wordpiece"]

_FLOOR_FACTOR = 8
_FEW_PAIRS = 1 << 10
_RARE = 0
"""The count noted for a pair that isn't frequent enough, or no longer there."""


class Ranking(Protocol):
    """Ranks the pairs of a row that come at least as often as asked.

    Of several that rank equally, the first in the order of their pieces' text is the best.
    """

    def best(self) -> int | None:
        """Return the pair to merge next; None where no pair comes often enough."""
        ...

    def update(self, change: Change) -> None:
        """Take note of what merging that pair has changed."""
        ...


def ranking(
    algorithm: Algorithm, row: PairRow, pieces: Sequence[str], min_frequency: int
) -> Ranking:
    """Rank the pairs of `row`; `pieces` are its symbols as text, and grow as they are merged."""
    kind = ByCount if algorithm == "bpe" else ByLikelihood
    return kind(row, pieces, min_frequency)


class ByCount:
    """The pair that comes most often is the best (Sennrich et al. 2016).

    A heap whose entries are put right when they come up: a count that has fallen since is below
    its entry, and one that grows gets an entry of its own.
    """

    def __init__(self, row: PairRow, pieces: Sequence[str], min_frequency: int) -> None:
        self._row = row
        self._pieces = pieces
        self._min_frequency = min_frequency
        self._heap: list[tuple[int, str, str, int]] = []
        # Most pairs are rare: those below the floor stay out of the heap until it is empty.
        self._floor = 1 + max(row.counts.values(), default=0)

    def best(self) -> int | None:
        """Return the pair to merge next; None where no pair comes often enough."""
        while True:
            while self._heap:
                entry = heappop(self._heap)
                pair = entry[-1]
                if self._row.counts.get(pair, _RARE) < self._floor:
                    continue
                if (now := self._ranked(pair)) == entry:
                    return pair
                heappush(self._heap, now)
            if self._floor <= self._min_frequency:
                return None
            self._floor = max(self._min_frequency, self._floor // _FLOOR_FACTOR)
            counts = self._row.counts.items()
            self._heap = [self._ranked(pair) for pair, count in counts if count >= self._floor]
            heapify(self._heap)

    def update(self, change: Change) -> None:
        """Take note of what merging that pair has changed."""
        for pair in change.grown:
            if self._row.counts[pair] >= self._floor:
                heappush(self._heap, self._ranked(pair))

    def _ranked(self, pair: int) -> tuple[int, str, str, int]:
        left, right = symbols_of(pair)
        return -self._row.counts[pair], self._pieces[left], self._pieces[right], pair


class ByLikelihood:
    """The pair whose pieces are least often apart is the best: count(ab) / (count(a) · count(b)).

    To merge it raises the likelihood of the text under a unigram model the most, for each time it
    comes (Schuster and Nakajima 2012). A merge moves the score of every pair with one of its
    pieces, so all scores are computed anew each time. That is quick: few pairs are left at a time,
    for what is merged early is rare (11,000 of 100 MB of English after 30,000 merges).
    """

    # A score takes five roundings of at most 2**-53 each, so the pair that is truly best is among
    # those whose score comes that near to the greatest; they are compared as fractions.
    _NEAR = 1 - 2.0**-48

    def __init__(self, row: PairRow, pieces: Sequence[str], min_frequency: int) -> None:
        self._row = row
        self._pieces = pieces
        self._min_frequency = min_frequency
        self._note_all()

    def best(self) -> int | None:
        """Return the pair to merge next; None where no pair comes often enough."""
        used = slice(len(self._slot))
        left, right = self._left[used], self._right[used]
        often = self._row.symbol_counts
        apart = often.take(left).astype(np.float64)
        apart *= often.take(right)
        # Where a piece is used up, its pairs are too: 0 / 0 is to be 0.
        scores = self._counts[used] / np.maximum(apart, 1, out=apart)
        top = scores.max(initial=0)
        if not top:
            return None
        near = np.flatnonzero(scores >= top * self._NEAR)
        pairs = (left[near] << 32 | right[near]).tolist()
        return pairs[0] if len(pairs) == 1 else min(pairs, key=self._ranked)

    def update(self, change: Change) -> None:
        """Take note of what merging that pair has changed."""
        for pair in (*change.grown, *change.fallen):
            count = self._row.counts.get(pair, _RARE)
            if count < self._min_frequency:
                count = _RARE
            if count or pair in self._slot:
                self._note(pair, count)

    def _ranked(self, pair: int) -> tuple[Fraction, str, str]:
        left, right = symbols_of(pair)
        often = self._row.symbol_counts
        apart = int(often[left]) * int(often[right])
        return Fraction(-self._row.counts[pair], apart), self._pieces[left], self._pieces[right]

    def _note(self, pair: int, count: int) -> None:
        slot = self._slot.setdefault(pair, len(self._slot))
        if slot == len(self._counts):
            self._note_all()
        else:
            self._left[slot], self._right[slot] = symbols_of(pair)
            self._counts[slot] = count

    def _note_all(self) -> None:
        """Note all frequent pairs, with room for as many again, and forget those now rare."""
        counts = self._row.counts.items()
        frequent = {pair: count for pair, count in counts if count >= self._min_frequency}
        self._slot = {pair: slot for slot, pair in enumerate(frequent)}
        size = 2 * len(frequent) + _FEW_PAIRS
        pairs = np.resize(np.fromiter(frequent, np.int64, len(frequent)), size)
        self._left, self._right = pairs >> 32, pairs & 0xFFFF_FFFF
        self._counts = np.zeros(size, np.int64)
        self._counts[: len(frequent)] = [*frequent.values()]
