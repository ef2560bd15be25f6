"""The task of a model that was fitted before, from what stands beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ...model.precision import Precision
from ..errors import BadInput
from ..stage.settings import settings_of
from ..training.model_files import ModelFiles, load_weights
from ..training.starting_point import StartingPoint
from ..wordpiece.encode import WordPieceEncoder
from .architectures import features_of
from .examples.classes import SINGLE
from .examples.columns import Columns
from .examples.examples import Examples, Known
from .examples.kinds import Kind, kind_named, task_name
from .examples.numbers import REGRESSION
from .examples.tags import scheme_of
from .reading.rows import Table
from .settings import FinetuneSettings
from .tasks.answering import THRESHOLD
from .tasks.task import Task
from .tasks.tasks import task_of

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

    def build(self, files: ModelFiles, precision: Precision) -> nn.Module:
        """Return the model with its weights, as `judge` expects it to be: for numbers, unscaled."""
        model = self.task.build(files.bert_config, precision)
        load_weights(model, replace(files, weights=self.task.as_trained(dict(files.weights))))
        return model.eval()


def fitted_task(start: StartingPoint, files: ModelFiles, what: Mapping[str, Any]) -> Fitted:
    """Return the task of a stored model; `what` are its recipe's settings, or some, or nothing.

    Where it doesn't say, as of a model from elsewhere, texts are read as `finetune` would by
    default.

    Raises:
        BadInput: it isn't a model for any of the tasks.
    """
    content = start.content
    task = task_name(content)
    if task is None:
        raise BadInput(
            f"{start.directory} is a {(content.get('architectures') or ['BertModel'])[0]}; "
            "expected a model that was fitted to a task.",
            hint="Fit one with: bertctl finetune.",
        )
    problem = content.get("problem_type") or SINGLE
    kind = kind_named(problem if task == "sequence-classification" else task)
    known = Known(
        _label_names(content, files),
        {name: content[name] for name in _LEARNT if name in content},
        {"answer_metric": _metric(what), "has_impossible": THRESHOLD in content},
    )
    if task == REGRESSION:
        unscaled = {"label_mean": 0.0, "label_sd": 1.0}
        known = replace(known, config={**unscaled, **known.config})
    if task == "token-classification" and (scheme := scheme_of([known.labels])):
        known = replace(known, config={"tag_scheme": scheme, **known.config})
    settings = _settings(what, kind, task, content)
    encoder = WordPieceEncoder(start.vocabulary, start.normalization)
    nothing = Examples[Any](Table(Path(), "", {}, []), [], [])
    tuned = {THRESHOLD: content[THRESHOLD]} if THRESHOLD in content else {}
    return Fitted(
        kind=kind,
        settings=settings,
        task=task_of(kind.name, known, settings, nothing, encoder),
        encoder=encoder,
        tuned=tuned,
        columns=_columns(what),
    )


def _label_names(content: Mapping[str, Any], files: ModelFiles) -> tuple[str, ...]:
    """Return the names of the scores; one that has none gets Hugging Face's."""
    named = content.get("id2label") or {}
    biases = [files.weights.get(name, ()) for name in ("classifier.bias", "mix.classifier.bias")]
    count = max(map(len, biases))
    return tuple(str(named.get(str(id), f"LABEL_{id}")) for id in range(count))


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
    given: dict[str, Any] = {
        name: tuple(what[name]) if isinstance(what[name], list) else what[name] for name in names
    }
    # What the model is, it says itself.
    architecture = (content.get("architectures") or [""])[0]
    given |= {"task": task, "features": features_of(architecture)}
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
