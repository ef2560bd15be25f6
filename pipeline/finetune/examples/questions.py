"""Questions whose answer is a stretch of a text, or isn't in it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings
from .cells import check_text
from .columns import Columns, column
from .examples import Examples, Known

QUESTION, CONTEXT, _ANSWERS, _IMPOSSIBLE = "question", "context", "answers", "is_impossible"
_NAMED = 3
"""Places of bad offsets that a notice names."""


@dataclass(frozen=True)
class Answer:
    """A stretch of the context, and where it begins, in characters; None where it isn't there."""

    text: str
    start: int | None


@dataclass(frozen=True)
class QuestionRow:
    """A question, the text it is asked of, and the answers that people gave."""

    id: str | None
    question: str
    context: str
    answers: tuple[Answer, ...] | None
    """Nothing where the text has no answer; None where it isn't known."""

    @property
    def content(self) -> Hashable:
        """The question and its text."""
        return self.question, self.context

    @property
    def is_labelled(self) -> bool:
        """Whether the answers are known."""
        return self.answers is not None

    @property
    def teaches(self) -> bool:
        """Whether there is an answer to point at, or it is known that there is none."""
        answers = self.answers
        return answers is not None and (
            not answers or any(each.start is not None for each in answers)
        )


def choose_question_columns(table: Table, settings: FinetuneSettings) -> Columns:
    """Take SQuAD's names, unless others are given."""
    columns = Columns(
        settings.text_column or QUESTION,
        settings.text_pair_column or CONTEXT,
        settings.label_column or _ANSWERS,
    )
    for name in columns.used:
        column(
            table,
            name,
            hint="--text-column names the question, --text-pair-column the text it is asked of, "
            "--label-column the answers.",
        )
    return columns


def read_question_rows(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[QuestionRow]:
    """Take questions out of a table; an answer whose offset is wrong keeps its text only.

    Raises:
        BadInput: a question, a text or a needed answer is missing or isn't one, with its place.
    """
    assert columns.text is not None
    assert columns.text_pair is not None
    hint = "Every file needs the training file's columns."
    questions = column(table, columns.text, hint=hint)
    contexts = column(table, columns.text_pair, hint=hint)
    empty: Sequence[Any] = [None] * len(table)
    answers = table.columns.get(columns.label, empty)
    impossible = table.columns.get(_IMPOSSIBLE, empty)
    ids = table.columns.get("id", empty)
    rows: list[QuestionRow] = []
    bad: list[str] = []
    for number, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        name = ids[number]
        place = table.place(number) + ("" if name is None else f" (id {name!r})")
        check_text(question, place, columns.text)
        check_text(context, place, columns.text_pair)
        found = None
        if answers[number] is not None or impossible[number]:
            given = [] if answers[number] is None else _answers(answers[number], place)
            if impossible[number]:
                _check_impossible(given, place)
                given = []
            found = tuple(_placed(text, start, context) for text, start in given)
            bad += [place for answer in found if answer.start is None]
        if found is None and labelled:
            raise BadInput(
                f"{place}: no answers; expected at least one, or is_impossible.",
                hint="Only a --test file may lack answers.",
            )
        rows.append(QuestionRow(None if name is None else str(name), question, context, found))
    return Examples(table, rows, range(len(rows)), _news(bad, sum(_count(rows))))


def _count(rows: Sequence[QuestionRow]) -> Iterator[int]:
    return (len(row.answers or ()) for row in rows)


def _news(bad: Sequence[str], num_answers: int) -> tuple[str, ...]:
    if not bad:
        return ()
    first = "; ".join(place.rpartition("/")[2] for place in bad[:_NAMED])
    return (
        f"{len(bad):,} of {num_answers:,} answers don't stand where their answer_start says "
        f"({first}{', …' if len(bad) > _NAMED else ''}): nothing is learnt from them; their words "
        "are still scored against.",
    )


def _answers(value: Any, place: str) -> list[tuple[str, Any]]:
    """Return texts and offsets, from SQuAD's list of answers or from two lists."""
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            value = [
                {"text": text, "answer_start": start}
                for text, start in zip(texts, starts, strict=True)
            ]
    if not isinstance(value, list) or not all(
        isinstance(each, dict) and isinstance(each.get("text"), str) for each in value
    ):
        raise BadInput(
            f"{place}: {json.dumps(value, ensure_ascii=False, default=str):.60}; expected a list "
            "of answers.",
            hint='For example [{"text": "in 1963", "answer_start": 30}].',
        )
    return [(each["text"], each.get("answer_start")) for each in value]


def _check_impossible(given: Sequence[tuple[str, Any]], place: str) -> None:
    if texts := [text for text, _ in given if text.strip()]:
        raise BadInput(
            f"{place}: is_impossible, but with the answer {texts[0]!r:.60}; expected one or the "
            "other.",
            hint="SQuAD 2.0 keeps what only looks like an answer in plausible_answers.",
        )


def _placed(text: str, start: Any, context: str) -> Answer:
    stands = isinstance(start, int) and start >= 0 and context.startswith(text, start)
    return Answer(text, start if stands and text.strip() else None)


def learn_questions(train: Examples[QuestionRow], settings: FinetuneSettings) -> Known:
    """Return whether some questions have no answer, and in what script answers are written.

    Raises:
        BadInput: there is no answer, or none stands where it is said to.
    """
    answers = [each for row in train.rows for each in row.answers or ()]
    if not answers:
        raise BadInput(
            f"{train.table.path}: no question has an answer; expected some that have one.",
            hint="Is it the right --label-column? Where to point is learnt from answers.",
        )
    if not any(each.start is not None for each in answers):
        raise BadInput(
            f"{train.table.path}: not one of {len(answers):,} answers stands in its text where "
            "answer_start says.",
            hint="Offsets count characters of the context, from 0.",
        )
    characters = "".join(each.text for each in answers)
    num_han = sum("\u4e00" <= each <= "\u9fff" for each in characters)
    metric = settings.answer_metric
    if metric == "auto":
        metric = "characters" if 2 * num_han > len(characters) else "words"
    has_impossible = any(row.answers == () for row in train.rows)
    return Known((), {}, {"answer_metric": metric, "has_impossible": has_impossible})
