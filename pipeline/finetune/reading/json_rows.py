"""JSON Lines turned into columns; and a JSON document that holds SQuAD's questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import BadInput
from .squad import NotSquad, read_questions


def read_json(path: Path, text: str) -> tuple[dict[str, Sequence[Any]], Sequence[int]]:
    """Return the columns of JSON Lines, or of SQuAD's JSON, and the lines where rows begin.

    Of SQuAD's questions there are no lines to tell. Raises `BadInput` with the place.
    """
    content = _whole(text)
    if not (isinstance(content, dict) and "data" in content):
        return _records(path, text)
    try:
        return dict(read_questions(content)), []
    except NotSquad as error:
        raise BadInput(
            f"{path}: {error}; expected SQuAD's JSON.",
            hint="data, a list with paragraphs, each a context and qas; or one JSON object a line.",
        ) from error


def _whole(text: str) -> Any:
    """Return what the whole text is as JSON; None where it isn't, as JSON Lines aren't."""
    first = text.lstrip()[:1]
    try:
        return json.loads(text, object_pairs_hook=_object) if first == "{" else None
    except (ValueError, RecursionError, _DoubledKey):
        return None


def _records(path: Path, text: str) -> tuple[dict[str, Sequence[Any]], Sequence[int]]:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            records.append(record_of(f"{path}, line {number:,}", line))
            lines.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}, lines


class _DoubledKey(Exception):
    """One object names a key twice, of which a reader would drop one in silence."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DoubledKey(next(name for name in names if names.count(name) > 1))
    return read


def record_of(place: str, line: str) -> dict[str, Any]:
    """Return the object that a line of JSON Lines is; raise `BadInput` where it is none."""
    try:
        record = json.loads(line, object_pairs_hook=_object)
    except _DoubledKey as error:
        raise BadInput(
            f"{place}: the key {error.args[0]!r} stands twice in one object; expected it once.",
            hint="Only one of the values can be meant: take the other out.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{place}: not JSON ({error}); expected one JSON object a line.",
            hint="A file that is one long JSON list has to be written a record a line.",
        ) from error
    if not isinstance(record, dict):
        raise BadInput(
            f"{place}: JSON, but no object; expected one JSON object a line.",
            hint="A file that is one long JSON list has to be written a record a line.",
        )
    return record
