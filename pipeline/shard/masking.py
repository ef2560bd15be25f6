"""Instances with some tokens hidden: which positions are predicted and what stands there instead.

Shapes: R instances, L their greatest length, K the most predictions in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..randomness import KeyedRandom
from .tokens import Ids, Offsets

NO_POSITION = np.iinfo(np.uint16).max
MASK_TOKEN_PROB = 0.8
RANDOM_TOKEN_PROB = 0.1
"""Devlin et al. 2018, section 3.1: 80 % [MASK], 10 % a random word, 10 % unchanged."""


@dataclass(frozen=True)
class MaskSettings:
    """How many tokens are predicted and what replaces them; `replaceable_ids`: (W,) any order."""

    masked_lm_prob: float
    max_predictions_per_seq: int | None
    mask_id: int
    replaceable_ids: Ids

    def num_predictions(self, lengths: Offsets) -> Offsets:
        """Return max(1, round(prob · length)) for each length, capped if a cap is set."""
        wanted = np.maximum(1, np.rint(self.masked_lm_prob * lengths).astype(np.int64))
        # Three of the tokens are special ones, which are never predicted.
        wanted = np.minimum(wanted, lengths - 3)
        if self.max_predictions_per_seq is None:
            return wanted
        return np.minimum(wanted, self.max_predictions_per_seq)


def choose_positions(
    segment_a_length: Offsets, lengths: Offsets, counts: Offsets, random: KeyedRandom
) -> npt.NDArray[np.uint16]:
    """Choose `counts` different positions of each instance, all sets of them equally likely.

    Returns (R, K) ascending positions, `NO_POSITION` after the last. [CLS] and both [SEP] are
    never among them. Floyd's sampling (Bentley & Floyd 1987), all instances at once.
    """
    rows, most = len(lengths), int(counts.max(initial=0))
    candidates = lengths - 3
    chosen = np.full((rows, most), NO_POSITION, np.uint16)
    for turn in range(most):
        last = candidates - counts + turn
        drawn = random.below(last + 1).astype(np.uint16)
        taken = (chosen[:, :turn] == drawn[:, None]).any(axis=1)
        chosen[:, turn] = np.where(taken, last, drawn)
        chosen[counts <= turn, turn] = NO_POSITION
    # Candidates are numbered without the special tokens: put [CLS] and the first [SEP] back.
    real = chosen != NO_POSITION
    after_a = chosen >= (segment_a_length - 2)[:, None]
    chosen += np.where(real, 1 + after_a, 0).astype(np.uint16)
    chosen.sort(axis=1)
    return chosen


def hide(
    ids: Ids, positions: npt.NDArray[np.uint16], settings: MaskSettings, random: KeyedRandom
) -> Ids:
    """Replace the tokens at `positions` in `ids` (R, L), in place, and return what stood there.

    The result is flat, in the order of rows and positions.
    """
    row, slot = np.nonzero(positions != NO_POSITION)
    column = positions[row, slot]
    original = ids[row, column]
    fate = random.uniform(len(row))
    substitutes = settings.replaceable_ids[
        random.below(np.full(len(row), len(settings.replaceable_ids)))
    ]
    hidden = np.where(
        fate < MASK_TOKEN_PROB,
        np.array(settings.mask_id, ids.dtype),
        np.where(fate < MASK_TOKEN_PROB + RANDOM_TOKEN_PROB, substitutes, original),
    )
    ids[row, column] = hidden
    return original
