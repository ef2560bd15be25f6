"""Instances with some tokens hidden: which positions are predicted and what stands there instead.

Shapes: R instances, L their greatest length, K the most predictions in one of them, M in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..randomness import KeyedRandom
from .tokens import Ids, Offsets

_NO_POSITION = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class MaskSettings:
    """How many tokens are predicted and what replaces them; `replaceable_ids`: (W,) any order.

    The defaults are those of Devlin et al. 2018, section 3.1: 80 % [MASK], 10 % a random word,
    10 % unchanged.
    """

    masked_lm_prob: float
    max_predictions_per_seq: int | None
    mask_id: int
    replaceable_ids: Ids
    mask_token_prob: float = 0.8
    random_token_prob: float = 0.1
    whole_words: bool = False

    def num_predictions(self, lengths: Offsets, candidates: Offsets) -> Offsets:
        """Return max(1, round(prob · length)) for each length, capped if a cap is set.

        `candidates`: how many tokens of each length may be predicted, special ones left out.
        """
        wanted = np.maximum(1, np.rint(self.masked_lm_prob * lengths).astype(np.int64))
        wanted = np.minimum(wanted, candidates)
        if self.max_predictions_per_seq is None:
            return wanted
        return np.minimum(wanted, self.max_predictions_per_seq)


@dataclass(frozen=True)
class Predictions:
    """M positions to predict, by row and then by column.

    `rows`, `columns`: (M,). `word_sizes`: where whole words were chosen, how many of the positions
    belong to the first, the second, … of them; None where each token was chosen by itself.
    """

    rows: Offsets
    columns: Offsets
    word_sizes: Offsets | None = None


def choose_tokens(
    segment_a_length: Offsets, candidates: Offsets, counts: Offsets, random: KeyedRandom
) -> Predictions:
    """Choose `counts` different tokens of each instance, all sets of them equally likely.

    `candidates`: (R,) how many there are to choose from: all but [CLS] and each [SEP]. Floyd's
    sampling (Bentley & Floyd 1987), all instances at once.
    """
    most = int(counts.max(initial=0))
    by_turn = np.full((most, len(counts)), _NO_POSITION, np.uint16)
    for turn, chosen in enumerate(by_turn):
        last = candidates - counts + turn
        drawn = random.below(last + 1).astype(np.uint16)
        taken = (by_turn[:turn] == drawn).any(axis=0)
        chosen[:] = np.where(taken, last, drawn)
        chosen[counts <= turn] = _NO_POSITION
    # Candidates are numbered without the special tokens: put [CLS] and the first [SEP] back.
    chosen = np.sort(by_turn.T, axis=1)
    candidate = chosen[chosen != _NO_POSITION].astype(np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    return Predictions(row, candidate + 1 + (candidate >= segment_a_length.take(row) - 2))


def hide(
    ids: Ids, starts: Offsets, chosen: Predictions, settings: MaskSettings, random: KeyedRandom
) -> tuple[Ids, Ids]:
    """Replace the chosen tokens in `ids` (T,), in place; return what stood there and what does now.

    `starts`: (R,) where each instance begins in `ids`. Both results are (M,).

    The pieces of a word are all masked, all replaced, each by its own random token, or all kept.
    """
    places = starts.take(chosen.rows) + chosen.columns
    original = ids.take(places)
    fate = _fates(chosen, random)
    hidden = np.where(
        fate < settings.mask_token_prob, np.array(settings.mask_id, ids.dtype), original
    )
    replaced = np.flatnonzero(
        (fate >= settings.mask_token_prob)
        & (fate < settings.mask_token_prob + settings.random_token_prob)
    )
    substitutes = random.below(np.full(len(replaced), len(settings.replaceable_ids)))
    hidden[replaced] = settings.replaceable_ids.take(substitutes)
    ids[places] = hidden
    return original, hidden


def _fates(chosen: Predictions, random: KeyedRandom) -> npt.NDArray[np.float64]:
    """Draw a number in [0, 1) for each position, one for all of a word: (M,)."""
    if chosen.word_sizes is None:
        return random.uniform(len(chosen.rows))
    return np.repeat(random.uniform(len(chosen.word_sizes)), chosen.word_sizes)
