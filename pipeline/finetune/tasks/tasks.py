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


def task_of(
    kind: str,
    known: Known,
    settings: FinetuneSettings,
    train: Examples[Any],
    encoder: WordPieceEncoder,
) -> Task:
    """Return the task that files of a kind are for, with all that its training rows teach."""
    if kind == "question-answering":
        return answering(known, settings, train, encoder)
    return _WITHOUT_ENCODER[kind](known, settings, train)
