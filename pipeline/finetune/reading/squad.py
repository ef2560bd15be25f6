"""Questions in the JSON of SQuAD 1.1 and 2.0 turned into rows, one a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

QUESTION_COLUMNS = ("id", "question", "context", "answers", "is_impossible", "title")


class NotSquad(Exception):
    """The file has another shape; the message says where, and what is there."""


def read_questions(content: Any) -> dict[str, list[Any]]:
    """Return the columns of a file's questions, in the order of the file.

    `answers` are lists of `{"text": …, "answer_start": …}`; None where a question has no such key.

    Raises:
        NotSquad: `content` isn't what SQuAD's files hold.
    """
    rows = list(_rows(content))
    return {name: [row.get(name) for row in rows] for name in QUESTION_COLUMNS}


def _rows(content: Any) -> Iterator[dict[str, Any]]:
    for article, place in _each(content, "data", "the file"):
        for paragraph, there in _each(article, "paragraphs", place):
            if not isinstance(paragraph.get("context"), str):
                raise NotSquad(f"{there} has no text 'context'")
            for question, where in _each(paragraph, "qas", there):
                if not isinstance(question.get("question"), str):
                    raise NotSquad(f"{where} has no text 'question'")
                yield {
                    "title": article.get("title"),
                    "context": paragraph["context"],
                    **{name: question.get(name) for name in ("question", "is_impossible")},
                    "id": question.get("id"),
                    "answers": question.get("answers"),
                }


def _each(parent: Any, key: str, place: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    children = parent.get(key) if isinstance(parent, Mapping) else None
    if not isinstance(children, list):
        raise NotSquad(f"{place} has no list {key!r}")
    for number, child in enumerate(children, start=1):
        here = f"{key} {number:,}" if place == "the file" else f"{place}, {key} {number:,}"
        if not isinstance(child, Mapping):
            raise NotSquad(f"{here} is no object")
        yield child, here
