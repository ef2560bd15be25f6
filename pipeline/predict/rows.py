"""Texts out of a file, a stream or the command line, one row after another; nothing is kept.

Lines of text; CSV and TSV whose first row names the columns; JSON Lines; Parquet.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..corpus.compression import Damaged, decompressed
from ..corpus.formats import Format, format_of, what_is_read
from ..errors import BadInput
from .request import Source

_BLOCK_BYTES = 1 << 18
_ROWS_AT_ONCE = 1 << 12
_STREAM = "standard input"
_TEXT_COLUMNS = ("text", "sentence", "content")


@dataclass(frozen=True)
class Row:
    """A text, or a pair; `number` counts from 1."""

    number: int
    text: str
    text_pair: str | None = None
    place: str = ""
    """Where it stands, for messages"""


@dataclass(frozen=True)
class Columns:
    """Which columns hold the texts; None where that isn't settled."""

    text: str | None = None
    text_pair: str | None = None

    def chosen_from(self, names: Sequence[str], where: str) -> tuple[str, str | None]:
        """Return the columns to read.

        Raises:
            BadInput: one isn't among `names`, or it isn't clear which holds the text.
        """
        text = self.text or next((name for name in _TEXT_COLUMNS if name in names), None)
        if text is None and len(names) == 1:
            text = names[0]
        listed = ", ".join(repr(name) for name in names)
        if text is None:
            raise BadInput(
                f"{where}: it isn't clear which column is the text; it has {listed}.",
                hint="Name it with --text-column.",
            )
        for flag, name in (("--text-column", text), ("--text-pair-column", self.text_pair)):
            if name is not None and name not in names:
                raise BadInput(
                    f"{where} has no column {name!r}; it has {listed}.",
                    hint=f"Name it with {flag}.",
                )
        return text, self.text_pair


def read_rows(
    source: Source, columns: Columns, *, input_format: str, text_pair: str | None
) -> Iterator[Row]:
    """Yield the rows of a source, whatever it is.

    Raises:
        BadInput: it can't be read, with the place.
    """
    if isinstance(source, str):
        yield Row(1, source, text_pair, "the text")
        return
    if not isinstance(source, Path):
        kind = "text" if input_format in ("auto", "txt") else input_format
        blocks = iter(lambda: source.read(_BLOCK_BYTES), b"")
        yield from _parsed(blocks, kind, columns, _STREAM)
        return
    form = format_of(str(source))
    if form is None:
        raise BadInput(
            f"{source} has a suffix that is not read; expected {what_is_read()}.",
            hint="Rename it if it is one of these, or give it on standard input.",
        )
    if form.kind in ("parquet", "arrow"):
        yield from _columnar(source, form, columns)
        return
    try:
        with source.open("rb") as file:
            yield from _parsed(_blocks(file, form), form.kind, columns, str(source))
    except Damaged as error:
        raise BadInput(f"{source}: {error}.", hint="Copy or make the archive again.") from error
    except OSError as error:
        raise BadInput(f"{source} can't be read: {error.strerror}.") from error


def _blocks(file: BinaryIO, form: Format) -> Iterator[bytes]:
    if form.compression is None:
        return iter(lambda: file.read(_BLOCK_BYTES), b"")
    return decompressed(file, form.compression)


def _parsed(blocks: Iterable[bytes], kind: str, columns: Columns, where: str) -> Iterator[Row]:
    lines = _lines(blocks, where)
    match kind:
        case "jsonl":
            return _records(lines, columns, where)
        case "csv" | "tsv":
            return _delimited(lines, columns, where, "," if kind == "csv" else "\t")
        case _:
            return _plain(lines, where)


def _lines(blocks: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield lines with their ends; a byte-order mark is no part of the first."""
    for number, line in enumerate(_raw_lines(blocks), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{where}, line {number:,}: invalid UTF-8 (0x{line[error.start]:02x}: "
                f"{error.reason}); expected UTF-8 text.",
                hint="Convert it, for example with: iconv -f LATIN1 -t UTF-8.",
            ) from error
        yield text.removeprefix("\ufeff") if number == 1 else text


def _raw_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for block in blocks:
        *ended, rest = block.split(b"\n")
        for part in ended:
            yield b"".join([*begun, part, b"\n"])
            begun = []
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


def _plain(lines: Iterable[str], where: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        yield Row(number, line.rstrip("\r\n"), None, f"{where}, line {number:,}")


def _records(lines: Iterable[str], columns: Columns, where: str) -> Iterator[Row]:
    chosen: tuple[str, str | None] | None = None
    number = 0
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{where}, line {at:,}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(
                f"{place}: not JSON ({error}); expected one JSON object a line."
            ) from error
        if not isinstance(record, dict):
            raise BadInput(f"{place}: JSON, but no object; expected one JSON object a line.")
        chosen = chosen or columns.chosen_from(list(record), where)
        number += 1
        yield _row(number, record, chosen, place)


def _delimited(lines: Iterable[str], columns: Columns, where: str, delimiter: str) -> Iterator[Row]:
    # In tab-separated files a quote is a quote: lines are rows.
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, strict=True, quoting=quoting)
    names: list[str] | None = None
    chosen: tuple[str, str | None] | None = None
    number = 0
    while True:
        place = f"{where}, line {reader.line_num + 1:,}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadInput(
                f"{place}: {error}.",
                hint="A field with the separator, a quote or a line end in "
                "it stands in quotes, a quote inside is doubled.",
            ) from error
        if not fields:
            continue
        if names is None or chosen is None:
            names = [name.strip() for name in fields]
            chosen = columns.chosen_from(names, where)
            continue
        if len(fields) != len(names):
            raise BadInput(
                f"{place}: {len(fields):,} instead of {len(names):,} fields, one for each column."
            )
        number += 1
        yield _row(number, dict(zip(names, fields, strict=True)), chosen, place)


def _columnar(path: Path, form: Format, columns: Columns) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        if form.kind == "parquet":
            file = pq.ParquetFile(path)
            names = file.schema_arrow.names
            chosen = columns.chosen_from(names, str(path))
            wanted = [name for name in chosen if name is not None]
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=wanted)
        else:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            chosen = columns.chosen_from(reader.schema.names, str(path))
            batches = (reader.get_batch(each) for each in range(reader.num_record_batches))
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                for record in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                    number += 1
                    yield _row(number, record, chosen, f"{path}, row {number:,}")
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} can't be read: {error}.", hint="Is the copy complete?") from error


def _row(number: int, record: Mapping[str, Any], chosen: tuple[str, str | None], place: str) -> Row:
    texts: list[str] = []
    for name in (each for each in chosen if each is not None):
        value = record.get(name)
        if not isinstance(value, str):
            found = "no text" if value is None else f"{value!r:.40}"
            raise BadInput(f"{place}: {found} in the column {name!r}; expected a text in each row.")
        texts.append(value)
    text, *pair = texts
    return Row(number, text, pair[0] if pair else None, place)
