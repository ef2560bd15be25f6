"""JSON Lines in, portions of documents out: each record is one document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, cast

from .faults import Faults
from .layouts import Portion, portion_of_record
from .lines import Lines
from .settings import CorpusSettings

MAX_RECORD_BYTES = 32 << 20
"""A record is parsed in one go: this bounds the memory of a worker."""

_parse = json.JSONDecoder().raw_decode
Fault = tuple[str, str, str]
"""What was found, what was expected, what to do."""


def portions_of_records(
    lines: Iterable[Lines], settings: CorpusSettings, faults: Faults
) -> Iterator[Portion]:
    """Yield the text field of each record as a document of its own."""
    too_long = False  # the rest of that line is left out as well
    for batch in lines:
        if batch.continues:
            if not (too_long and batch.joins):
                _report_long(faults, batch.number)
            too_long = True
            continue
        first = 1 if too_long and batch.joins else 0
        too_long = False
        for number, line in enumerate(batch.texts[first:], start=batch.number + first):
            if not line:
                continue
            text = text_of_record(line, settings.text_field)
            if isinstance(text, str):
                yield portion_of_record(text, unwrap=settings.unwrap)
            else:
                found, expected, hint = text
                faults.report(found, expected=expected, hint=hint, line=number)


def text_of_record(line: str, field: str) -> str | Fault:
    """Return the text of one line, or what is wrong with it."""
    try:
        record, end = _parse(line)
        if end != len(line):
            raise json.JSONDecodeError("more after the end of the value", line, end)
    except json.JSONDecodeError as error:
        found = f"not JSON ({error.msg} at character {error.pos + 1}: {_excerpt(line, error.pos)})"
        return found, "one JSON object a line", "Mend the line, or convert the file."
    except (ValueError, RecursionError) as error:
        return f"JSON that can't be read ({error})", "one JSON object a line", "Mend the line."
    if not isinstance(record, dict):
        kind = _KINDS.get(type(record), "null")
        return f"a JSON {kind}", "one JSON object a line", "Put the text in an object's field."
    return text_of_field(cast("dict[str, Any]", record), field)


def text_of_field(record: dict[str, Any], field: str) -> str | Fault:
    """Return the text of one record, or what is wrong with it."""
    text = record.get(field)
    if isinstance(text, str):
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                code = ord(text[error.start])
                found = f"half a surrogate pair (U+{code:04X}) in the field {field!r}"
                return found, "Unicode text", "Write the file again with a JSON library."
        return text
    if field in record:
        kind = _KINDS.get(type(text), "null")
        hint = "Name another field with --text-field, or mend the record."
        return f"a JSON {kind} in the field {field!r}", "a string", hint
    return no_such_field(record, field)


def no_such_field(names: Iterable[str], field: str) -> Fault:
    """Say that a record, or a table, has no field of this name."""
    fields = ", ".join(repr(name) for name in islice(names, 20)) or "none"
    return (
        f"no field {field!r} among the fields ({fields})",
        f"the field {field!r}",
        "Name the field that holds the text with --text-field.",
    )


_KINDS: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "true or false",
    int: "number",
    float: "number",
}


def too_long(what: str) -> Fault:
    """Say that a record, or its text, would take more memory than a worker may."""
    return (
        f"a {what} of more than {MAX_RECORD_BYTES >> 20} MiB",
        f"a shorter {what}",
        "Write its text to a file and read that with --documents file.",
    )


def _report_long(faults: Faults, number: int) -> None:
    found, expected, hint = too_long("record")
    faults.report(found, expected=expected, hint=hint, line=number)


def _excerpt(line: str, place: int) -> str:
    return repr(line[max(0, place - 10) : place + 20])
