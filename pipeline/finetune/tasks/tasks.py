"""The task for each kind of example."""

from __future__ import annotations

from typing import Any

from ...wordpiece.encode import WordPieceEncoder
from ..examples.classes import MULTI, SINGLE
from ..examples.examples import Examples, Known
from ..examples.numbers import REGRESSION
from ..settings import FinetuneSettings
from .answering import answering
from .choosing import choosing
from .classes import classes
from .mixing import mixed
from .numbers import numbers
from .several import several_labels
from .tagging import tagging
from .task import Task

_WITHOUT_ENCODER = {
    SINGLE: classes,
    MULTI: several_labels,
    REGRESSION: numbers,
    "token-classification": tagging,
    "multiple-choice": choosing,
}
_NUM_OUTPUTS = {REGRESSION: 1, "multiple-choice": 1, "question-answering": 2}
"""Those whose labels don't say it"""
_READ_TOKENS = ("token-classification", "question-answering")


def task_of(
    kind: str,
    known: Known,
    settings: FinetuneSettings,
    train: Examples[Any],
    encoder: WordPieceEncoder,
) -> Task:
    """Return the task that files of a kind are for, with all that its training rows teach."""
    if kind == "question-answering":
        task = answering(known, settings, train, encoder)
    else:
        task = _WITHOUT_ENCODER[kind](known, settings, train)
    if settings.features == "last":
        return task
    return mixed(
        task,
        num_outputs=_NUM_OUTPUTS.get(kind) or len(known.labels),
        reads_tokens=kind in _READ_TOKENS,
        is_flat=kind == "multiple-choice",
    )
