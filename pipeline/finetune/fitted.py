"""The task of a model that was fitted before, from what stands beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from ...model.precision import Precision
from ..errors import BadInput
from ..stage.settings import settings_of
from ..training.model_files import load_weights, read_model
from ..training.starting_point import StartingPoint
from ..wordpiece.encode import WordPieceEncoder
from .examples.classes import SINGLE
from .examples.columns import Columns
from .examples.examples import Examples, Known
from .examples.kinds import Kind, kind_named
from .examples.numbers import REGRESSION
from .reading.rows import Table
from .settings import FinetuneSettings
from .tasks.answering import THRESHOLD
from .tasks.task import Task
from .tasks.tasks import task_of

_TASKS: Mapping[str, str] = MappingProxyType(
    {
        "BertForSequenceClassification": "sequence-classification",
        "BertForTokenClassification": "token-classification",
        "BertForQuestionAnswering": "question-answering",
        "BertForMultipleChoice": "multiple-choice",
    }
)
_LEARNT = ("label_range", "label_mean", "label_sd", "tag_scheme", "problem_type")
"""What of a configuration the task that wrote it had learnt"""


@dataclass(frozen=True)
class Fitted:
    """How a model's rows are read and its outputs told, as when it was fitted."""

    kind: Kind
    settings: FinetuneSettings
    task: Task
    encoder: WordPieceEncoder
    tuned: Mapping[str, Any]
    """What `judge` is to be given"""
    columns: Columns | None
    """Those it was fitted to; None where there is no recipe to tell"""

    def build(self, start: StartingPoint, precision: Precision) -> nn.Module:
        """Return the model with its weights, as `judge` expects it to be: for numbers, unscaled."""
        assert start.directory is not None
        files = read_model(start.directory)
        model = self.task.build(start.config, precision)
        weights = self.task.as_trained(dict(files.weights))
        load_weights(model, replace(files, weights=weights))
        return model.eval()


def fitted_task(start: StartingPoint, what: Mapping[str, Any]) -> Fitted:
    """Return the task of a stored model; `what` are its recipe's settings, or nothing.

    Without a recipe, as of a model from elsewhere, texts are read as `finetune` would by default.

    Raises:
        BadInput: it isn't a model for any of the tasks.
    """
    content = start.content
    architecture = (content.get("architectures") or ["BertModel"])[0]
    if architecture not in _TASKS:
        raise BadInput(
            f"{start.directory} is a {architecture}; expected one of {', '.join(_TASKS)}.",
            hint="Fit one with: bertctl finetune.",
        )
    problem = _problem(start) if architecture == "BertForSequenceClassification" else ""
    kind = kind_named(problem or _TASKS[architecture])
    known = Known(
        start.label_names,
        {name: content[name] for name in _LEARNT if name in content},
        {"answer_metric": _metric(what), "has_impossible": THRESHOLD in content},
    )
    if problem == REGRESSION:
        unscaled = {"label_mean": 0.0, "label_sd": 1.0}
        known = replace(known, config={**unscaled, **known.config})
    settings = _settings(what, kind, _TASKS[architecture], content)
    encoder = WordPieceEncoder(start.vocabulary, start.normalization)
    nothing = Examples[Any](Table(Path(), "", {}, []), [], [])
    task = task_of(kind.name, known, settings, nothing, encoder)
    tuned = {THRESHOLD: content[THRESHOLD]} if THRESHOLD in content else {}
    return Fitted(kind, settings, task, encoder, tuned, _columns(what))


def _problem(start: StartingPoint) -> str:
    """Return what kind of labels a classifier has: of one score, it is a number."""
    told = start.content.get("problem_type")
    return told or (REGRESSION if len(start.label_names) == 1 else SINGLE)


def _columns(what: Mapping[str, Any]) -> Columns | None:
    if "label_column" not in what:
        return None
    texts = (what.get("text_column"), what.get("text_pair_column"))
    return Columns(*texts, what["label_column"], tuple(what.get("choice_column", ())))


def _metric(what: Mapping[str, Any]) -> str:
    told = what.get("answer_metric", "auto")
    return "words" if told == "auto" else told


def _settings(
    what: Mapping[str, Any], kind: Kind, task: str, content: Mapping[str, Any]
) -> FinetuneSettings:
    """Return the settings that the model was fitted with, as far as they are known."""
    names = [each.name for each in settings_of(FinetuneSettings) if each.name in what]
    given: dict[str, Any] = {"task": task}
    given |= {
        name: tuple(what[name]) if isinstance(what[name], list) else what[name] for name in names
    }
    settings = FinetuneSettings(**given)
    # Weights of classes are for learning, and there are no rows to take them from.
    settings = replace(settings, class_weights="none")
    if settings.long_text == "auto":
        settings = replace(settings, long_text="head" if kind.pools else "window")
    if isinstance(longest := content.get("max_answer_length"), int):
        settings = replace(settings, max_answer_length=longest)
    elif settings.max_answer_length == "auto":
        settings = replace(settings, max_answer_length=30)
    return settings
