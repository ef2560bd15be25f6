"""The runs that a fine-tuning is made of: seeds, the cells of a grid, folds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ..randomness import KeyedRandom
from .examples.examples import Examples
from .settings import FinetuneSettings

GRID_BATCH_SIZES = (16, 32)
GRID_LEARNING_RATES = (5e-5, 3e-5, 2e-5)
GRID_EPOCHS = (2, 3, 4)
"""What works across tasks (Devlin et al. 2018, A.3)"""


@dataclass(frozen=True)
class Attempt:
    """One run: from the starting point to the epoch that is best, or to one that is given."""

    settings: FinetuneSettings
    seed: int
    cell: str = ""
    """Which cell of the grid, in words; nothing where there is no grid"""
    fold: int | None = None
    """Which part of the training rows validates, counted from 0; None for the validation file"""
    last_epoch: int | None = None
    """After which epoch it ends, whose model is taken; None to go on and take the best"""
    tuned: tuple[tuple[str, float], ...] = ()
    """What earlier runs settled, where this one has no rows to settle it on"""

    @property
    def name(self) -> str:
        """What tells it from the others; a file's name, too."""
        fold = None if self.fold is None else f"fold-{self.fold + 1}"
        return "-".join(part for part in (self.cell, f"seed-{self.seed}", fold) if part)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the run's outcome depends on beside the recipe."""
        return self.name, self.last_epoch, self.tuned


def cells(settings: FinetuneSettings) -> list[Attempt]:
    """Return the first run of each cell of the grid; of the only one, without a grid."""
    if not settings.grid:
        return [Attempt(settings, settings.seed)]
    return [
        Attempt(
            replace(settings, batch_size=size, learning_rate=rate, epochs=epochs),
            settings.seed,
            cell=f"batch-{size}-rate-{rate:g}-epochs-{epochs}",
        )
        for size, rate, epochs in product(GRID_BATCH_SIZES, GRID_LEARNING_RATES, GRID_EPOCHS)
    ]


def runs_of(cell: Attempt) -> list[Attempt]:
    """Return a cell's runs: every seed, and with each every fold."""
    settings = cell.settings
    folds: Sequence[int | None] = [None] if settings.folds is None else range(settings.folds)
    return [
        replace(cell, seed=settings.seed + number, fold=fold)
        for number in range(settings.seeds)
        for fold in folds
    ]


def final_runs(cell: Attempt, last_epoch: int, tuned: Mapping[str, float]) -> list[Attempt]:
    """Return the runs over all training rows that follow upon folds: one for each seed."""
    settings = cell.settings
    return [
        replace(
            cell,
            seed=settings.seed + number,
            fold=None,
            last_epoch=last_epoch,
            tuned=tuple(sorted(tuned.items())),
        )
        for number in range(settings.seeds)
    ]


def fold_of(examples: Examples[Any], *, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return which fold each row belongs to (R,), dealt so that folds are about as large.

    Rows of equal content belong to one fold, so that none is validated on what it learnt; rows of
    one label are dealt out evenly. Those that nothing is learnt from are dealt last: the others lie
    as they would without them.
    """
    first: dict[Hashable, Any] = {}
    for row in sorted(examples.rows, key=lambda row: not row.teaches):
        first.setdefault(row.content, row)
    contents, rows = list(first), list(first.values())
    drawn = KeyedRandom(seed, "folds", folds).bits(len(rows)).tolist()

    def rank(place: int) -> tuple[bool, str, int]:
        row = rows[place]
        return not row.teaches, str(getattr(row, "label", "")), drawn[place]

    order = sorted(range(len(rows)), key=rank)
    dealt = {contents[place]: number % folds for number, place in enumerate(order)}
    return np.array([dealt[row.content] for row in examples.rows], np.int64)
