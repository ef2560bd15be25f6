"""Delimited text turned into rows of fields: CSV, and the two kinds of TSV there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Rows of fields up to the first problem; the first row names the columns."""

    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    problem: str | None = None
    problem_line: int = 0


def read_grid(text: str, delimiter: str, *, quotes: bool = True) -> Grid:
    """Read rows that all have as many fields as the first; blank lines are no rows."""
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    # The module's own limit is one for all readers, and lower than some documents are long.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return Grid(rows, lines)
        except csv.Error as error:
            return Grid(rows, lines, _quote_problem(str(error)), line)
        if row and rows and len(row) != len(rows[0]):
            problem = f"{len(row):,} instead of {len(rows[0]):,} fields, one for each column"
            return Grid(rows, lines, problem, line)
        if row:
            rows.append(row)
            lines.append(line)


def _quote_problem(found: str) -> str:
    if "end of data" in found:
        return "a quote is opened here and never closed"
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
