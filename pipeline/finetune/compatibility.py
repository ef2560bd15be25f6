"""Settings that don't go together, or with a task: refused, since none is ever left aside."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..errors import BadInput
from ..stage.settings import settings_of
from .request import FinetuneRequest
from .settings import FinetuneSettings

_TEXTS = frozenset({"sequence-classification", "regression"})
_LABELLED = frozenset({"sequence-classification", "token-classification"})
_WINDOWED = _TEXTS | {"token-classification", "question-answering"}
_ANSWERS = frozenset({"question-answering"})
_TASKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "choice_column": frozenset({"multiple-choice"}),
        "ignore_label": _TEXTS | {"multiple-choice"},
        "problem_type": frozenset({"sequence-classification"}),
        "tag_scheme": frozenset({"token-classification"}),
        "convert_tags": frozenset({"token-classification"}),
        "doc_stride": _WINDOWED,
        "window_pooling": frozenset({"sequence-classification"}),
        "class_weights": _LABELLED,
        "max_query_length": _ANSWERS,
        "max_answer_length": _ANSWERS,
        "n_best_size": _ANSWERS,
        "null_score_diff_threshold": _ANSWERS,
        "answer_metric": _ANSWERS,
    }
)
"""Settings that only some tasks know"""
_LONG_TEXT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "token-classification": frozenset({"auto", "head", "window"}),
        "question-answering": frozenset({"auto", "head", "window"}),
        "multiple-choice": frozenset({"auto", "head", "tail", "head+tail"}),
    }
)


def check_compatibility(request: FinetuneRequest) -> None:
    """Raise `BadInput` for a setting that would mean nothing."""
    settings = request.settings
    for setting in settings_of(FinetuneSettings):
        tasks = _TASKS.get(setting.name)
        is_given = getattr(settings, setting.name) != setting.default
        if is_given and tasks is not None and settings.task not in tasks:
            raise BadInput(
                f"{setting.flag} means nothing to --task {settings.task}; it is for "
                f"{', '.join(sorted(tasks))}.",
                hint="Leave it out.",
            )
    check_long_text(settings.task, settings.long_text)
    _check_windows(settings)
    _check_validation(request)
    _check_grid(settings)


def check_long_text(task: str, long_text: str) -> None:
    """Raise `BadInput` where a task's texts can't be read that way."""
    known = _LONG_TEXT.get(task)
    if known is not None and long_text not in known:
        raise BadInput(
            f"--long-text is {long_text!r}; --task {task} takes one of {', '.join(sorted(known))}.",
            hint="Leave it out to take what suits the task.",
        )


def _check_windows(settings: FinetuneSettings) -> None:
    reads_windows = settings.long_text == "window" or (
        settings.long_text == "auto" and settings.task not in _TEXTS
    )
    for flag, given in (
        ("--doc-stride", settings.doc_stride != "auto"),
        ("--window-pooling", settings.window_pooling != "mean"),
    ):
        if given and not reads_windows:
            raise BadInput(
                f"{flag} means nothing where texts aren't read in windows.",
                hint="Leave it out, or give --long-text window.",
            )


def _check_validation(request: FinetuneRequest) -> None:
    settings = request.settings
    if settings.folds is not None and request.validation is not None:
        raise BadInput(
            "--folds validates on the training rows; there is a --validation file, too.",
            hint="Leave one of them out.",
        )
    validates = settings.folds is not None or request.validation is not None
    for flag, given in (
        ("--grid", settings.grid),
        ("--early-stopping", settings.early_stopping is not None),
    ):
        if given and not validates:
            raise BadInput(
                f"{flag} needs rows to choose by, and there is no --validation file.",
                hint="Name one, or validate on the training rows with --folds 5.",
            )


def _check_grid(settings: FinetuneSettings) -> None:
    defaults = FinetuneSettings()
    for name in ("batch_size", "learning_rate", "epochs"):
        if settings.grid and getattr(settings, name) != getattr(defaults, name):
            raise BadInput(
                f"--{name.replace('_', '-')} is one of the things that --grid tries.",
                hint="Leave one of them out.",
            )
