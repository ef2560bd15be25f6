"""Which documents are held out for validation: whole ones, copies of one together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .tokens import Keys, open_tokenised

_KEYS = 2**64
_FEWEST_DOCUMENTS = 64
"""Or a tenth of the corpus, whichever is less: so many say something."""


@dataclass(frozen=True)
class Split:
    """Held out is what has a validation key below `below`, except the identities in `kept`.

    Kept for training are documents so long that they were cut into parts: one of them could be
    most of the corpus.
    """

    below: int = 0
    kept: tuple[int, ...] = ()

    def is_held_out(self, documents: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Tell for each row of a tokenised piece whether its document is held out."""
        chosen = _is_below(documents["validation_key"].to_numpy(), self.below)
        if self.kept:
            kept = np.array(self.kept, np.uint64)
            chosen &= ~np.isin(documents["identity"].to_numpy(), kept)
        return chosen


@dataclass(frozen=True)
class Census:
    """How many documents there are, and how many different ones, counted up to two."""

    documents: int
    different: int


def choose_split(pieces: Sequence[Path], *, documents: int, fraction: float, fewest: int) -> Split:
    """Hold out the share asked for: at least 64 documents or a tenth of the corpus.

    Nothing is held out where that leaves either side fewer than `fewest` different documents, which
    is one or two.
    """
    if fraction == 0:
        return Split()
    wanted = max(round(fraction * documents), min(_FEWEST_DOCUMENTS, documents // 10))
    below = _smallest_keys_bound(pieces, wanted, documents)
    split = Split(below, _cut_identities(pieces, below))
    sides = [census(pieces, split, held_out=side) for side in (True, False)]
    return split if all(side.different >= fewest for side in sides) else Split()


def census(pieces: Sequence[Path], split: Split, *, held_out: bool) -> Census:
    """Count one side of a split."""
    documents, ends = 0, set[int]()
    for piece in map(open_tokenised, pieces):
        identities = piece["identity"].to_numpy()[split.is_held_out(piece) == held_out]
        if len(identities):
            documents += len(identities)
            ends |= {int(identities.min()), int(identities.max())}
    return Census(documents, len(ends))


def _smallest_keys_bound(pieces: Sequence[Path], wanted: int, documents: int) -> int:
    """Return the bound below which `wanted` of the documents' validation keys lie."""
    if wanted == 0:
        return 0
    # Keys are uniform: nearly always the smallest lie below a few times their share of all.
    for bound in (min(_KEYS, 4 * (wanted + 16) * _KEYS // documents), _KEYS):
        keys = [each["validation_key"].to_numpy() for each in map(open_tokenised, pieces)]
        small = np.concatenate([each[_is_below(each, bound)] for each in keys])
        if len(small) >= wanted:
            return int(np.partition(small, wanted - 1)[wanted - 1]) + 1
    raise AssertionError("fewer documents than were counted")


def _cut_identities(pieces: Sequence[Path], below: int) -> tuple[int, ...]:
    found = set[int]()
    for piece in map(open_tokenised, pieces):
        cut = Split(below).is_held_out(piece) & (piece["part"].to_numpy() > 0)
        found.update(piece["identity"].to_numpy()[cut].tolist())
    return tuple(sorted(found))


def _is_below(keys: Keys, bound: int) -> npt.NDArray[np.bool_]:
    return np.ones(len(keys), bool) if bound >= _KEYS else keys < np.uint64(bound)
