"""What `--model` names, opened: which question it answers, and how its texts are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import BadInput
from ..export.facts import FITTED_WITH
from ..finetune.compatibility import check_long_text
from ..finetune.examples.kinds import task_name
from ..stage.manifest import Manifest
from ..stage.ownership import recipe_at
from ..stage.settings import check_settings, settings_of
from ..training.model_layout import MODEL
from ..training.starting_point import StartingPoint, open_stored
from .request import PredictRequest
from .settings import PredictHow

_FITTED = (
    "sequence-classification",
    "regression",
    "token-classification",
    "question-answering",
    "multiple-choice",
)
_TEXTS = ("sequence-classification", "regression")
_TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "top_k": ("fill-mask",),
        "n_best_size": ("question-answering",),
        "null_score_diff_threshold": ("question-answering",),
        "choice": ("multiple-choice",),
        "choice_column": ("multiple-choice",),
        "text_pair": ("fill-mask", "next-sentence", "embeddings", *_TEXTS, "question-answering"),
        "text_pair_column": (
            *("fill-mask", "next-sentence", "embeddings", *_TEXTS, "question-answering"),
        ),
        "long_text": _FITTED,
        "doc_stride": (*_TEXTS, "token-classification", "question-answering"),
        "window_pooling": ("sequence-classification",),
    }
)
"""Settings that only some tasks know"""
_LONGEST = 512


@dataclass(frozen=True)
class Opened:
    """A model that can answer, and what is asked."""

    start: StartingPoint
    task: str
    max_seq_length: int
    what: Mapping[str, Any]
    """The settings that it was fitted with, with those in their place that are asked for; of a
    model from elsewhere only these"""

    @property
    def is_fitted(self) -> bool:
        """Whether the question is one that a model has to be fitted to."""
        return self.task in _FITTED


def open_model(request: PredictRequest, *, wants_vectors: bool) -> Opened:
    """Open the model and settle what is `auto`; `wants_vectors` says that Parquet is written.

    Raises:
        BadInput: the model isn't there or isn't finished, or can't answer what is asked.
    """
    how = request.how
    check_settings(how, request.numerics)
    start = open_stored(request.model, None, flag="--model")
    what = _fitted_with(request.model)
    is_pair = how.text_pair is not None or how.text_pair_column is not None
    fitted_to = task_name(start.content)
    task = how.task
    if task == "auto":
        guess = "embeddings" if wants_vectors else fitted_to
        task = guess or ("next-sentence" if is_pair else "fill-mask")
    _refuse_unfit(start, request, task, fitted_to)
    _refuse_meaningless(how, task)
    max_seq_length = _max_seq_length(request, start, what)
    if how.null_score_diff_threshold is not None:
        told = {"null_score_diff_threshold": how.null_score_diff_threshold}
        start = replace(start, content={**start.content, **told})
    asked = {
        name: value
        for name in ("long_text", "doc_stride", "window_pooling")
        if (value := getattr(how, name)) != "auto"
    }
    if task in _FITTED:
        _check_windows(how, task, {**what, **asked})
    return Opened(start, task, max_seq_length, {**what, **asked, "max_seq_length": max_seq_length})


def _fitted_with(model: Path) -> Mapping[str, Any]:
    """Return the settings of the fine-tuning that a model comes from; nothing if from none."""
    places = [model, model.parent] if model.name == MODEL else [model]
    for place in places:
        recipe = recipe_at(place)
        if recipe is not None and recipe.stage == "finetune":
            return recipe.what
    manifest = Manifest.read(model)
    return {} if manifest is None else manifest.statistics.get(FITTED_WITH) or {}


def _refuse_unfit(
    start: StartingPoint, request: PredictRequest, task: str, fitted_to: str | None
) -> None:
    if task == "fill-mask" and start.config.is_decoder:
        raise BadInput(
            f"{request.model} reads from left to right (is_decoder): it can't see what follows a "
            "[MASK].",
            hint="Take a model trained on masked tokens, or --task embeddings.",
        )
    if task in _FITTED and task != fitted_to:
        architecture = str((start.content.get("architectures") or ["BertModel"])[0])
        raise BadInput(
            f"{request.model} wasn't fitted to {task}: it is a {architecture}"
            + (f", for {fitted_to}." if fitted_to else "."),
            hint="Fit one with: bertctl finetune.",
        )
    how = request.how
    is_pair = how.text_pair is not None or how.text_pair_column is not None
    if (is_pair or task == "question-answering") and start.config.type_vocab_size < 2:
        raise BadInput(
            f"{request.model} can't tell two texts apart: its type_vocab_size is 1.",
            hint="Give one text a row.",
        )


def _refuse_meaningless(how: PredictHow, task: str) -> None:
    for setting in settings_of(PredictHow):
        tasks = _TASKS.get(setting.name)
        if tasks and task not in tasks and getattr(how, setting.name) != setting.default:
            raise BadInput(
                f"{setting.flag} means nothing to --task {task}; it is for {', '.join(tasks)}.",
                hint="Leave it out.",
            )


def _check_windows(how: PredictHow, task: str, what: Mapping[str, Any]) -> None:
    long_text = what.get("long_text", "auto")
    check_long_text(task, long_text)
    reads_windows = long_text == "window" or (long_text == "auto" and task not in _TEXTS)
    for flag, given in (
        ("--doc-stride", how.doc_stride != "auto"),
        ("--window-pooling", how.window_pooling != "auto"),
    ):
        if given and not reads_windows:
            raise BadInput(
                f"{flag} means nothing where texts aren't read in windows.",
                hint="Leave it out, or give --long-text window.",
            )


def _max_seq_length(request: PredictRequest, start: StartingPoint, what: Mapping[str, Any]) -> int:
    most = start.config.max_position_embeddings
    wanted = request.how.max_seq_length
    if wanted == "auto":
        return min(most, what.get("max_seq_length") or _LONGEST)
    if wanted > most:
        raise BadInput(
            f"--max-seq-length is {wanted}; the model {request.model} reads at most {most} tokens.",
            hint=f"Give --max-seq-length {most} or less.",
        )
    return wanted
