"""Whole words chosen for prediction: in random order, each that still fits its instance's budget.

So does google-research/bert. Here a word never reaches over a [SEP], what truncation left of one
counts as one, and no instance goes without a prediction.

Shapes: R instances of T tokens in all, special ones included, and of W words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..randomness import KeyedRandom
from .masking import Predictions
from .tokens import Flags, Offsets


@dataclass(frozen=True)
class _Words:
    """The words of R instances, in order.

    `starts`: (W,) where each begins among the T tokens; `sizes`: (W,) its pieces; `first`: (R,) the
    first word of each instance; `counts`: (R,) how many it has.
    """

    starts: Offsets
    sizes: Offsets
    first: Offsets
    counts: Offsets

    def of(self, instances: Offsets) -> tuple[Offsets, Offsets]:
        """Return the words of some instances, and for each of them which of the instances."""
        counts = self.counts[instances]
        owner = np.repeat(np.arange(len(instances)), counts)
        shift = self.first[instances] - (np.cumsum(counts) - counts)
        return np.arange(len(owner)) + shift[owner], owner


def choose_words(
    continues: Flags,
    segment_a_length: Offsets,
    lengths: Offsets,
    budgets: Offsets,
    random: KeyedRandom,
    *,
    cap: int | None = None,
) -> Predictions:
    """Choose words of each instance for as many predictions as `budgets` (R,) says, or just below.

    `continues`: (T,) whether a token continues the word before it; what it says of the first token
    of a segment and of special tokens makes no difference.

    A word longer than what is left of the budget is passed over. Where every word is longer than
    the whole budget the shortest is chosen, so that something is predicted; of its pieces the first
    `cap`.
    """
    stops = np.cumsum(lengths)
    words = _words_of(continues, segment_a_length, stops - lengths, stops)
    chosen = _choose(words, budgets, random)
    starts, sizes = words.starts[chosen], words.sizes[chosen]
    if cap is not None:
        sizes = np.minimum(sizes, cap)
    ends = np.cumsum(sizes)
    places = np.repeat(starts - (ends - sizes), sizes) + np.arange(sizes.sum())
    rows = np.repeat(np.repeat(np.arange(len(lengths)), words.counts)[chosen], sizes)
    return Predictions(rows, places - (stops - lengths)[rows], sizes)


def _words_of(
    continues: Flags, segment_a_length: Offsets, starts: Offsets, stops: Offsets
) -> _Words:
    """Find the words of instances that stand at [start, stop)."""
    special = np.concatenate([starts, starts + segment_a_length - 1, stops - 1])
    # A special token begins something, which ends the word before it, and so does a segment.
    begins = ~continues
    begins[special] = True
    begins[starts + 1] = True
    begins[np.minimum(starts + segment_a_length, stops - 1)] = True
    is_word = begins.copy()
    is_word[special] = False
    beginnings = np.flatnonzero(begins)
    sizes = np.diff(beginnings, append=len(begins))
    real = is_word[beginnings]
    word_starts = beginnings[real]
    first = np.searchsorted(word_starts, starts)
    return _Words(word_starts, sizes[real], first, np.diff(first, append=len(word_starts)))


def _choose(words: _Words, budgets: Offsets, random: KeyedRandom) -> Flags:
    """Return (W,) which words are chosen."""
    chosen = np.zeros(len(words.starts), bool)
    left = budgets.copy()
    wanting = _draw(words, chosen, left, random)
    while len(wanting):
        which, owner = words.of(wanting)
        fits = ~chosen[which] & (words.sizes[which] <= left[wanting[owner]])
        which, owner = which[fits], owner[fits]
        drawn = which[_first_of_each(owner, random.bits(len(owner)))]
        wanting = wanting[np.unique(owner)]
        chosen[drawn] = True
        left[wanting] -= words.sizes[drawn]
        wanting = wanting[left[wanting] > 0]
    which, owner = words.of(np.flatnonzero(left == budgets))
    shortest = _first_of_each(owner, words.sizes[which], random.bits(len(owner)))
    chosen[which[shortest]] = True
    return chosen


def _draw(words: _Words, chosen: Flags, left: Offsets, random: KeyedRandom) -> Offsets:
    """Choose words by drawing, most of what there is to choose; return the instances not done.

    To draw with replacement and pass over what was drawn before is to go through the words in
    random order, and costs a number a draw where an order costs a sort. `chosen` and `left`, what
    remains of the budgets, are brought up to date.
    """
    wanting = np.flatnonzero(left > 0)
    for _ in range(2 * int(left.max(initial=0))):
        drawn = words.first[wanting] + random.below(words.counts[wanting])
        fits = ~chosen[drawn] & (words.sizes[drawn] <= left[wanting])
        chosen[drawn[fits]] = True
        left[wanting[fits]] -= words.sizes[drawn[fits]]
        wanting = wanting[left[wanting] > 0]
    return wanting


def _first_of_each(owner: Offsets, *keys: npt.NDArray[np.generic]) -> Offsets:
    """Return, for each owner, where its smallest key stands; `owner` ascends."""
    order = np.lexsort((*reversed(keys), owner))
    return order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
