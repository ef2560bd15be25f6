"""CSV and TSV in, portions of documents out: each row is one document.

A field with the separator, a quote or a line end in it stands in quotes, and a quote inside is
doubled (RFC 4180), in TSV too. The first row names the columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from .faults import Faults
from .layouts import Portion, portion_of_record
from .lines import decoded_line, raw_lines
from .opening import ByteStream
from .records import MAX_RECORD_BYTES, no_such_field
from .settings import CorpusSettings


def portions_of_rows(
    stream: ByteStream, settings: CorpusSettings, faults: Faults, *, separator: str
) -> Iterator[Portion]:
    """Yield the text column of each row as a document of its own."""
    feed = _Feed(stream, faults)
    # The module's limit on a field is one for all its readers.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    reader = csv.reader(feed, delimiter=separator, strict=True)
    names: list[str] | None = None
    column = 0
    while True:
        line = feed.number + 1
        feed.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if names is None:
                found = f"{_problem(str(error))} in the line that names the columns: no row is read"
                _report(faults, found, line)
                return
            if not feed.is_spoiled:
                _report(faults, _problem(str(error)), line)
            continue
        if not row or (feed.is_spoiled and names is not None):
            continue
        if names is None:  # with a bad name among them the others still stand
            names = [name.strip() for name in row]
            if settings.text_field not in names:
                found, expected, hint = no_such_field(names, settings.text_field)
                faults.report(found, expected=expected, hint=hint, line=line)
                return
            column = names.index(settings.text_field)
        elif len(row) != len(names):
            _report(faults, f"{len(row):,} fields where line 1 names {len(names):,}", line)
        else:
            yield portion_of_record(row[column], unwrap=settings.unwrap)


class _Feed:
    """The lines that `csv.reader` asks for, and whether one of the row under way is bad.

    A bad line is reported and still handed on, so that the end of its row is found; one that is
    too long is not.
    """

    def __init__(self, stream: ByteStream, faults: Faults) -> None:
        self.number = 0
        """Of the last line, counted from 1."""
        self.is_spoiled = False
        self._at_row_start = True
        self._faults = faults
        self._lines = self._read(stream)

    def begin_row(self) -> None:
        self.is_spoiled = False
        self._at_row_start = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def _read(self, stream: ByteStream) -> Iterator[str]:
        for raw in raw_lines(stream, MAX_RECORD_BYTES):
            if raw.continues:
                if not raw.joins:
                    found = f"a line of more than {MAX_RECORD_BYTES >> 20} MiB"
                    _report(self._faults, found, raw.number)
                self.is_spoiled = not self._at_row_start
                continue
            lines = raw.data.split(b"\n")
            number, offset = raw.number, raw.offset
            if raw.joins:
                number, offset = number + 1, offset + len(lines.pop(0)) + 1
            for self.number, line in enumerate(lines, start=number):
                text = decoded_line(line, self.number, offset, self._faults)
                if text is None:
                    self.is_spoiled = True
                    text = line.replace(b"\0", b"").decode(errors="replace")
                self._at_row_start = False
                yield text + "\n"
                offset += len(line) + 1


def _report(faults: Faults, found: str, line: int) -> None:
    faults.report(
        found,
        expected="as many fields as the first line names",
        hint="Quote a field that holds the separator, a quote or a line end, and double the quote.",
        line=line,
    )


def _problem(error: str) -> str:
    if "end of data" in error or "field limit" in error:
        return "a quote is opened and not closed"
    if "new-line" in error:
        return "a carriage return inside a line"
    return "a quoted field goes on after its closing quote"
