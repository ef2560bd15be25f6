"""Lines of CSV and TSV turned into records, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput
from ..finetune.reading.delimited import BadRow, fields_of
from .records import Record

_QUOTE = '"'


def delimited_records(
    lines: Iterable[str], path: Path, delimiter: str, *, quotes: bool
) -> Iterator[Record]:
    """Yield a record for each row after the first, which names the columns."""
    rows = fields_of(lines, delimiter, quotes=quotes)
    try:
        for _, fields in rows:
            names = [name.strip() for name in fields]
            break
        else:
            return
        for name in names:
            if name and names.count(name) > 1:
                raise BadInput(
                    f"{path}, line 1: two columns are named {name!r}.", hint="Rename one."
                )
        for number, (line, fields) in enumerate(rows, start=1):
            yield Record(number, dict(zip(names, fields, strict=True)), line)
    except BadRow as bad:
        raise BadInput(
            f"{path}, line {bad.line:,}: {bad.problem}.",
            hint="Every row has a field for each column; a field with the separator, a quote or a "
            "line end in it stands in quotes.",
        ) from bad


@dataclass
class _Survey:
    """How far a way of reading gets."""

    rows: int = 0
    problem_line: int | None = None
    has_quotes: bool = False
    begins_quoted: bool = False


def means_quotes(lines: Callable[[], Iterable[str]]) -> bool:
    """Tell whether quotes in tab-separated lines stand around fields, or are what they are.

    The rule is that of `finetune`, see its `read_tab_separated`; the lines are read up to twice,
    and nothing of them is kept.
    """
    quoted = _survey(lines(), quotes=True)
    if not quoted.has_quotes:
        return True
    plain = _survey(lines(), quotes=False)
    if quoted.problem_line is None:
        same_rows = plain.rows == quoted.rows
        return plain.problem_line is not None or same_rows or plain.begins_quoted
    return plain.problem_line is not None and quoted.problem_line >= plain.problem_line


def _survey(lines: Iterable[str], *, quotes: bool) -> _Survey:
    survey = _Survey()

    def noticing() -> Iterator[str]:
        for number, line in enumerate(lines):
            survey.has_quotes = survey.has_quotes or _QUOTE in line
            survey.begins_quoted = survey.begins_quoted or (number == 0 and line.startswith(_QUOTE))
            yield line

    try:
        for _ in fields_of(noticing(), "\t", quotes=quotes):
            survey.rows += 1
    except BadRow as bad:
        survey.problem_line = bad.line
    return survey
