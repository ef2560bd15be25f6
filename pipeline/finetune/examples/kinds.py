"""The kinds of example there are, by task: how a file of each is read, and what it teaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from ..architectures import plain_architecture
from ..reading.rows import KINDS, TAGGED_KINDS, Table
from ..reading.rows import Kind as FileKind
from ..settings import FinetuneSettings
from .choices import choose_choice_columns, learn_choices, read_choices
from .classes import (
    MULTI,
    SINGLE,
    check_several,
    check_single,
    has_several_labels,
    learn_several,
    learn_single,
    read_several,
    read_single,
)
from .columns import Columns, choose_text_columns
from .examples import Examples, Known
from .numbers import learn_numbers, read_numbers
from .questions import choose_question_columns, learn_questions, read_question_rows
from .tagged import choose_tagged_columns, fit_tags, learn_tags, read_tagged


class Reader(Protocol):
    """Takes examples out of a table, each row checked where it stands."""

    def __call__(
        self, table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
    ) -> Examples[Any]:
        """Read a table."""
        ...


Fit = Callable[[Examples[Any], Known, FinetuneSettings], Examples[Any]]


def _as_they_are(
    examples: Examples[Any], known: Known, settings: FinetuneSettings
) -> Examples[Any]:
    return examples


def _checked(check: Callable[[Examples[Any], Known], None]) -> Fit:
    def fit(examples: Examples[Any], known: Known, settings: FinetuneSettings) -> Examples[Any]:
        check(examples, known)
        return examples

    return fit


@dataclass(frozen=True)
class Kind:
    """What sets the files of one task apart from those of another."""

    name: str
    architecture: str
    """The class of `transformers` that loads the model"""
    columns: Callable[[Table, FinetuneSettings], Columns]
    read: Reader
    learn: Callable[[Examples[Any], FinetuneSettings], Known]
    fit: Fit = _as_they_are
    """Hold examples against what the training rows taught, and bring them into that shape."""
    files: Mapping[str, FileKind] = field(default_factory=lambda: KINDS)
    """What the suffix of a file's name stands for"""
    pools: bool = True
    """Whether the head reads a whole sequence from its first token"""

    def has_pairs(self, columns: Columns) -> bool:
        """Whether a sequence is of two segments."""
        return columns.text_pair is not None or bool(columns.choices and columns.text)


_CLASSES = Kind(
    name=SINGLE,
    architecture="BertForSequenceClassification",
    columns=choose_text_columns,
    read=read_single,
    learn=learn_single,
    fit=_checked(check_single),
)
_SEVERAL = Kind(
    name=MULTI,
    architecture="BertForSequenceClassification",
    columns=choose_text_columns,
    read=read_several,
    learn=learn_several,
    fit=_checked(check_several),
)
_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "sequence-classification": _CLASSES,
        "regression": Kind(
            name="regression",
            architecture="BertForSequenceClassification",
            columns=choose_text_columns,
            read=read_numbers,
            learn=learn_numbers,
        ),
        "token-classification": Kind(
            name="token-classification",
            architecture="BertForTokenClassification",
            columns=choose_tagged_columns,
            read=read_tagged,
            learn=learn_tags,
            fit=fit_tags,
            files=TAGGED_KINDS,
            pools=False,
        ),
        "question-answering": Kind(
            name="question-answering",
            architecture="BertForQuestionAnswering",
            columns=choose_question_columns,
            read=read_question_rows,
            learn=learn_questions,
            pools=False,
        ),
        "multiple-choice": Kind(
            name="multiple-choice",
            architecture="BertForMultipleChoice",
            columns=choose_choice_columns,
            read=read_choices,
            learn=learn_choices,
        ),
    }
)


def kind_of(settings: FinetuneSettings) -> Kind:
    """Return the kind of example that a task's files hold."""
    return _KINDS[settings.task]


def kind_named(name: str) -> Kind:
    """Return the kind of a name."""
    return next(kind for kind in (*_KINDS.values(), _SEVERAL) if kind.name == name)


def task_name(content: Mapping[str, Any]) -> str | None:
    """Return the task that a model with this config.json was fitted to; None if to none."""
    architecture = plain_architecture((content.get("architectures") or ["BertModel"])[0])
    names = [name for name, kind in _KINDS.items() if kind.architecture == architecture]
    if "regression" in names:
        problem = content.get("problem_type")
        has_one_score = not problem and len(content.get("id2label") or ()) == 1
        return "regression" if problem == "regression" or has_one_score else names[0]
    return names[0] if names else None


def settled(kind: Kind, table: Table, columns: Columns, settings: FinetuneSettings) -> Kind:
    """Return the kind once the training file is known: of classes, one a row or several."""
    if kind is not _CLASSES or settings.problem_type == SINGLE:
        return kind
    several = settings.problem_type == MULTI or has_several_labels(table, columns)
    return _SEVERAL if several else kind
