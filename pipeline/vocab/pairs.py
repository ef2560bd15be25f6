"""Merging pairs of symbols over distinct words in numpy: all places of a pair at once.

The words stand in one row of symbols, a border before, between and after them. A merge writes the
new symbol where the pair's first one stood and drops the second out of the row: so the row is
linked, each place knows the previous and the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Symbols = npt.NDArray[np.int32]
Pairs = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]

_NONE = -1
"""Stands in place of a symbol at a border, where it makes any pair negative, and where a symbol has
been dropped."""

_PLACES_AT_ONCE = 1 << 18


class Change(NamedTuple):
    """What a merge changed: the pairs that come more often now, and those that come less often.

    All hold the merged symbol or one of the two it was made of.
    """

    grown: list[int]
    fallen: list[int]


def symbols_of(pair: int) -> tuple[int, int]:
    """Return the two symbols of a pair, which is one number: its halves are theirs."""
    return pair >> 32, pair & 0xFFFF_FFFF


class PairRow:
    """Words as a row of symbols, and how often each symbol and pair of neighbours comes in it."""

    def __init__(self, symbols: Symbols, num_symbols: int, lengths: Counts, counts: Counts) -> None:
        """Take all words' symbols (S,), one word after the other, and lengths and counts (W,)."""
        size = len(symbols) + len(lengths) + 1
        self._counts = counts
        # A border counts as the word's after it, and doesn't matter.
        self._word = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths + 1)
        is_border = np.zeros(size, bool)
        is_border[0] = is_border[np.cumsum(lengths + 1)] = True
        self._symbol = np.full(size, _NONE, np.int32)
        self._symbol[~is_border] = symbols
        self._previous = np.arange(-1, size - 1, dtype=np.int32)
        self._next = np.arange(1, size + 1, dtype=np.int32)
        self._places = _places_of(self._symbol, num_symbols)
        """Where each symbol stands, and perhaps stood before a merge took it."""
        self.symbol_counts = np.zeros(num_symbols, np.int64)
        """(…,) int64: how often each symbol comes; there is room for more."""
        self.counts: dict[int, int] = {}
        """How often each pair comes; a pair that no longer comes is not there."""
        for start in range(1, size - 1, _PLACES_AT_ONCE):
            part = slice(start, min(start + _PLACES_AT_ONCE, size - 1))
            symbol, count = self._symbol[part], self._counts[self._word[part]]
            stands = symbol != _NONE
            np.add.at(self.symbol_counts, symbol[stands], count[stands])
            before = self._symbol[start - 1 : start - 1 + len(symbol)]
            self._change(_summed(_paired(before, symbol), count))

    def merge(self, pair: int, merged: int) -> Change:
        """Write `merged`, an old symbol or the next free number, wherever a pair stands."""
        left, right = symbols_of(pair)
        first, second = self._find(left, right)
        before, after = self._previous[first], self._next[second]
        symbol_before, symbol_after = self._symbol[before], self._symbol[after]
        self._symbol[first] = merged
        self._symbol[second] = _NONE
        self._next[first] = after
        self._previous[after] = first
        count = self._counts[self._word[first]]
        self._rename(left, right, merged, first, int(count.sum()))
        # Where two places adjoin, "ab ab", the pair "ba" between them is lost once and that of the
        # merged is gained once: the left one tells the loss, the right one the gain.
        loses_before = self._symbol[before] != _NONE
        gains_after = self._symbol[after] == symbol_after
        now_before = self._symbol[self._previous[first]]
        pairs = (
            _paired(symbol_before, left),
            _paired(right, symbol_after),
            _paired(now_before, merged),
            _paired(merged, symbol_after),
        )
        changes = (-count * loses_before, -count, count, count * gains_after)
        change = self._change(_summed(np.concatenate(pairs), np.concatenate(changes)))
        # Of "aaa" an "aa" that overlaps the merged one may have been left in the sum.
        self.counts.pop(pair, None)
        change.fallen.append(pair)
        return change

    def _rename(self, left: int, right: int, merged: int, places: Places, count: int) -> None:
        """Note that two symbols became one at these places, `count` times in the text."""
        if merged == len(self._places):
            self._places.append(places)
        else:
            self._places[merged] = np.concatenate((self._places[merged], places))
        if merged == len(self.symbol_counts):
            room = np.zeros_like(self.symbol_counts)
            self.symbol_counts = np.concatenate((self.symbol_counts, room))
        self.symbol_counts[left] -= count
        self.symbol_counts[right] -= count
        self.symbol_counts[merged] += count

    def _find(self, left: int, right: int) -> tuple[Places, Places]:
        """Return where a pair's first and second symbol stand; no place is in two pairs."""
        if len(self._places[left]) <= len(self._places[right]):
            first = self._places_now(left)
            second = self._next[first]
            together = self._symbol[second] == right
        else:
            second = self._places_now(right)
            first = self._previous[second]
            together = self._symbol[first] == left
        first, second = first[together], second[together]
        return _without_overlap(first, second) if left == right else (first, second)

    def _places_now(self, symbol: int) -> Places:
        places = self._places[symbol]
        self._places[symbol] = places = places[self._symbol[places] == symbol]
        return places

    def _change(self, changes: Iterable[tuple[int, int]]) -> Change:
        """Add to the counts of pairs; return those that have changed."""
        change = Change([], [])
        for pair, difference in changes:
            count = self.counts.pop(pair, 0) + difference
            if count:
                self.counts[pair] = count
            if difference:
                (change.grown if difference > 0 else change.fallen).append(pair)
        return change


def _places_of(symbols: Symbols, num_symbols: int) -> list[Places]:
    """Return where each symbol stands, ascending; sorted in parts, which takes less room."""
    num_places = np.bincount(symbols[symbols != _NONE], minlength=num_symbols)
    free = starts = np.cumsum(num_places) - num_places
    places = np.empty(num_places.sum(), np.int32)
    for start in range(0, len(symbols), _PLACES_AT_ONCE):
        part = symbols[start : start + _PLACES_AT_ONCE]
        order = np.argsort(part, kind="stable")
        order = order[np.searchsorted(part, 0, sorter=order) :]
        more = np.bincount(part[order], minlength=num_symbols)
        # The first of a symbol goes where the symbol's next free place is, the others follow.
        shift = free - (np.cumsum(more) - more)
        places[np.arange(len(order)) + np.repeat(shift, more)] = start + order
        free = free + more
    return np.split(places, starts[1:])


def _paired(left: Symbols | int, right: Symbols | int) -> Pairs:
    """Return pairs of symbols, each as one number."""
    return np.left_shift(left, 32, dtype=np.int64) | right


def _without_overlap(first: Places, second: Places) -> tuple[Places, Places]:
    """Of places in a run, "aaaa", take every other one, from the left."""
    # Places are out of order where two merges have written the same symbol.
    order = np.argsort(first)
    first, second = first[order], second[order]
    index = np.arange(len(first))
    starts_run = np.ones(len(first), bool)
    starts_run[1:] = first[1:] != second[:-1]
    in_run = index - np.maximum.accumulate(np.where(starts_run, index, 0))
    return first[in_run % 2 == 0], second[in_run % 2 == 0]


def _summed(pairs: Pairs, counts: Counts) -> Iterable[tuple[int, int]]:
    """Return each distinct pair with the sum of its counts; none across a border."""
    order = np.argsort(pairs)
    order = order[np.searchsorted(pairs, 0, sorter=order) :]
    if not len(order):
        return ()
    pairs = pairs[order]
    is_first = np.ones(len(pairs), bool)
    is_first[1:] = pairs[1:] != pairs[:-1]
    firsts = np.flatnonzero(is_first)
    sums = np.add.reduceat(counts[order], firsts)
    return zip(pairs[firsts].tolist(), sums.tolist(), strict=True)
