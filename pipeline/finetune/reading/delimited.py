"""Delimited text turned into rows of fields: CSV, and the two kinds of TSV there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_LONGEST_FIELD = 1 << 26
"""Characters: beyond that it is a quote that is never closed."""


class BadRow(Exception):
    """A row isn't what the names of the columns promise: `problem`, and the `line` it begins in."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


@dataclass(frozen=True)
class Grid:
    """Rows of fields up to the first problem; the first row names the columns."""

    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    problem: str | None = None
    problem_line: int = 0


def fields_of(
    lines: Iterable[str], delimiter: str, *, quotes: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield rows, each with the line it begins in; all have as many fields as the first.

    Blank lines are no rows. Raises `BadRow`.
    """
    # The module's own limit is one for all readers, and lower than some documents are long.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    width = 0
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadRow(_quote_problem(str(error)), line) from error
        if row and width and len(row) != width:
            found = f"{len(row):,} instead of {width:,} fields, one for each column"
            raise BadRow(found, line)
        if row:
            width = len(row)
            yield line, row


def read_grid(text: str, delimiter: str, *, quotes: bool = True) -> Grid:
    """Read the rows of a text up to the first problem."""
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for line, row in fields_of(io.StringIO(text, newline=""), delimiter, quotes=quotes):
            rows.append(row)
            lines.append(line)
    except BadRow as bad:
        return Grid(rows, lines, bad.problem, bad.line)
    return Grid(rows, lines)


def _quote_problem(found: str) -> str:
    if "end of data" in found:
        return "a quote is opened here and never closed"
    if "field limit" in found:
        return f"a field of more than {_LONGEST_FIELD:,} characters; is a quote never closed?"
    if "new-line character" in found:
        return "a carriage return within a field that isn't quoted"
    return "a quoted field goes on after its closing quote; a quote inside has to be doubled"


def read_tab_separated(text: str) -> Grid:
    """Read tab-separated rows, of which there are two kinds: with CSV's quotes, and without any.

    Where every line has its fields, lines are rows: quotes mean something only if they leave the
    rows as they are, or if the names are quoted too. Else quoted fields hold line ends or tabs.
    """
    quoted = read_grid(text, "\t")
    if '"' not in text:
        return quoted
    plain = read_grid(text, "\t", quotes=False)
    if quoted.problem is None:
        same_rows = len(plain.rows) == len(quoted.rows)
        if plain.problem is not None or same_rows or plain.rows[0][0].startswith('"'):
            return quoted
    if plain.problem is None:
        return plain
    return max(quoted, plain, key=lambda each: each.problem_line)
