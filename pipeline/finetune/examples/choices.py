"""Questions with choices, one of which is right; how many there are may differ from row to row."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings
from .cells import check_text, label_of
from .columns import Columns, column, given_columns, known_names, listed_names, only
from .examples import Examples, Known

_LISTS = ("choices", "options", "endings", "candidates")
_STEMS = ("choice", "option", "ending", "sent", "candidate", "answer", "solution", "sol")
QUESTIONS = (
    *("question", "text", "prompt", "context", "sentence", "premise", "startphrase", "falsesent"),
)
_LABELS = ("label", "answer", "answerkey", "gold", "correct", "target")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBERED = re.compile(r"(.*?)[ _-]?(\d+|[A-Za-z])")


@dataclass(frozen=True)
class ChoiceRow:
    """What is asked, the choices, and which one is right."""

    text: str | None
    """None where the choices stand for themselves"""
    choices: tuple[str, ...]
    names: tuple[str, ...]
    """How the right one is named in the file, for each choice"""
    right: int | None

    @property
    def content(self) -> Hashable:
        """The question and its choices."""
        return self.text, self.choices

    @property
    def is_labelled(self) -> bool:
        """Whether it is known which choice is right."""
        return self.right is not None

    @property
    def teaches(self) -> bool:
        """Whether it can be learnt from: wherever it is labelled."""
        return self.is_labelled


def choose_choice_columns(table: Table, settings: FinetuneSettings) -> Columns:
    """Find the question, its choices and the answer: as told, or by their names.

    Raises:
        BadInput: a named column isn't there, or it is open which is which.
    """
    if settings.text_pair_column is not None:
        raise BadInput("--text-pair-column: choices have no pair.", hint="Leave it out.")
    for flag, name in given_columns(settings).items():
        column(table, name, hint=f"Name one of them with {flag}.")
    for name in settings.choice_column:
        column(table, name, hint="Name them with --choice-column, once for each.")
    taken = {settings.text_column, settings.label_column, *settings.choice_column}
    free = [name for name in table.columns if name not in taken]
    choices = settings.choice_column or guess_choices(free)
    free = [name for name in free if name not in choices]
    label = settings.label_column or only(known_names(free, _LABELS))
    text = settings.text_column or only([x for x in known_names(free, QUESTIONS) if x != label])
    if not choices or label is None:
        what, flag = (
            ("choices", "--choice-column, once for each")
            if not choices
            else ("answer", "--label-column")
        )
        raise BadInput(
            f"{table.path}: it isn't clear where the {what} stand; it has {listed_names(table)}.",
            hint=f"Name the column with {flag}. Choices may also be one column of lists.",
        )
    return Columns(text, None, label, tuple(choices))


def guess_choices(names: Sequence[str]) -> tuple[str, ...]:
    """Return a column of lists, or columns that are numbered or lettered alike."""
    lists = known_names(names, _LISTS)
    if lists:
        return tuple(lists) if len(lists) == 1 else ()
    stems: dict[str, list[str]] = {}
    for name in names:
        if (match := _NUMBERED.fullmatch(name)) and match[1].lower() in _STEMS:
            stems.setdefault(match[1], []).append(name)
    several = [tuple(group) for group in stems.values() if len(group) > 1]
    return several[0] if len(several) == 1 else ()


def read_choices(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[ChoiceRow]:
    """Take questions out of a table; with `labelled` each needs its answer.

    The answer is named by a letter or number at the end of a column's name, a place from 0, a
    letter from A, or the choice itself.

    Raises:
        BadInput: a row has fewer than two choices, or an answer that none of them is, with place.
    """
    hint = "Every file needs the training file's columns."
    texts: Sequence[Any] = [None] * len(table)
    if columns.text is not None:
        texts = column(table, columns.text, hint=hint)
    several = [column(table, name, hint=hint) for name in columns.choices]
    labels: Sequence[Any] = [None] * len(table)
    if labelled or columns.label in table.columns:
        labels = column(table, columns.label, hint="Name it with --label-column.")
    rows: list[ChoiceRow] = []
    for number, text in enumerate(texts):
        place = table.place(number)
        if columns.text is not None:
            check_text(text, place, columns.text)
        choices, names = _choices(columns.choices, [each[number] for each in several], place)
        answer = label_of(labels[number], place, columns.label)
        if answer in settings.ignore_label:
            answer = None
        elif answer is None and labelled:
            raise BadInput(
                f"{place}: no answer in the column {columns.label!r}; expected one in each row.",
                hint="Only a --test file may lack answers.",
            )
        right = None if answer is None else _right(answer, choices, names, place)
        rows.append(ChoiceRow(text, choices, names, right))
    return Examples(table, rows, range(len(rows)))


def _choices(
    columns: Sequence[str], cells: Sequence[Any], place: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a row's choices and their names; empty cells at the end are no choices."""
    if len(columns) == 1:
        choices = cells[0]
        if not isinstance(choices, list):
            raise BadInput(
                f"{place}: {json.dumps(choices, ensure_ascii=False, default=str):.40} in the "
                f"column {columns[0]!r}; expected a list of choices.",
                hint="Name columns of one choice each with --choice-column, once for each.",
            )
        names = [str(number) for number in range(len(choices))]
    else:
        choices = list(cells)
        while choices and (choices[-1] is None or not str(choices[-1]).strip()):
            choices.pop()
        names = _suffixes(columns)[: len(choices)]
    if len(choices) < 2:
        raise BadInput(
            f"{place}: {len(choices)} choices; expected at least two.", hint="Mend the row."
        )
    for choice, name in zip(choices, columns if len(columns) > 1 else names, strict=False):
        check_text(choice, place, name)
    return tuple(choices), tuple(names)


def _suffixes(columns: Sequence[str]) -> list[str]:
    """Return what tells the columns apart where they are numbered or lettered, else places."""
    matches = [_NUMBERED.fullmatch(name) for name in columns]
    if all(matches) and len({match[1] for match in matches if match}) == 1:
        return [match[2] for match in matches if match]
    return [str(place) for place in range(len(columns))]


def _right(answer: str, choices: Sequence[str], names: Sequence[str], place: str) -> int:
    if answer in names:
        place_of = names.index(answer)
        if answer in choices and choices.index(answer) != place_of:
            raise BadInput(
                f"{place}: the answer {answer!r} may be a choice's number, or a choice itself.",
                hint="Name answers by letters, from A, or write them as the choices are written.",
            )
        return place_of
    if answer.upper() in _LETTERS and len(answer) == 1 and not names[0].isalpha():
        if _LETTERS.index(answer.upper()) < len(choices):
            return _LETTERS.index(answer.upper())
    elif answer in choices:
        return choices.index(answer)
    raise BadInput(
        f"{place}: the answer is {answer!r}; expected one of {', '.join(names)}, as many as there "
        "are choices.",
        hint="Choices in a list are numbered from 0, or lettered from A; columns by the end of "
        "their names.",
    )


def learn_choices(train: Examples[ChoiceRow], settings: FinetuneSettings) -> Known:
    """Return that there is nothing to know: a score says how well a choice fits.

    Raises:
        BadInput: it is always the same place that is right, so that nothing can be learnt.
    """
    rights = {row.right for row in train.rows if row.right is not None}
    if len(rights) < 2:
        raise BadInput(
            f"{train.table.path}: the right choice always stands in the same place.",
            hint="Is it the right --label-column? Shuffle the choices.",
        )
    return Known()
