"""The labelled files as a task sees them: examples, and the items that the model reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..wordpiece.encode import WordPieceEncoder
from .attempts import Attempt, fold_of
from .examples.examples import Examples
from .tasks.task import Items, Task


@dataclass(frozen=True)
class Part:
    """Some rows of a file."""

    examples: Examples[Any]
    items: Items


Parts = Mapping[str, Part]
"""By name: train, validation, test"""


def encode_parts(
    task: Task, encoder: WordPieceEncoder, examples: Mapping[str, Examples[Any]]
) -> Parts:
    """Encode every file."""
    return {name: Part(each, task.encode(encoder, each)) for name, each in examples.items()}


def parts_of_fold(
    attempt: Attempt, whole: Examples[Any], task: Task, encoder: WordPieceEncoder
) -> Parts:
    """Return what the run of a fold learns from and is validated on.

    Its own rows of the `whole` training file validate it, those that nothing can be learnt from
    included, so that each is predicted once. Of the others it learns.
    """
    assert attempt.settings.folds is not None
    folds = fold_of(whole, folds=attempt.settings.folds, seed=attempt.settings.seed)
    return encode_parts(
        task,
        encoder,
        {
            "train": whole.select(np.flatnonzero(folds != attempt.fold).tolist()).to_learn_from(),
            "validation": whole.select(np.flatnonzero(folds == attempt.fold).tolist()),
        },
    )
