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


def parts_of(attempt: Attempt, parts: Parts, task: Task, encoder: WordPieceEncoder) -> Parts:
    """Return what a run learns from, is validated on and tested on.

    A fold's own rows validate it, and the others are learnt. A run over all rows after folds has
    none to validate it.
    """
    if attempt.fold is None:
        return parts
    assert attempt.settings.folds is not None
    whole = parts["train"].examples
    folds = fold_of(whole, folds=attempt.settings.folds, seed=attempt.settings.seed)
    rows = np.arange(len(whole))
    return encode_parts(
        task,
        encoder,
        {
            "train": whole.select(rows[folds != attempt.fold].tolist()),
            "validation": whole.select(rows[folds == attempt.fold].tolist()),
        },
    )
