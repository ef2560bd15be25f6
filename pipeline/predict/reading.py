"""A text, a file or a stream read as records, one after another; nothing is kept.

Lines of text; CSV and TSV whose first row names the columns; JSON Lines; CoNLL's columns; Parquet
and Arrow. SQuAD's JSON is one document, and the only thing that is read whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from ..corpus.formats import Compression
from ..errors import BadInput
from ..finetune.reading.conll import BadSentence, sentences_of
from ..finetune.reading.json_rows import read_json, record_of
from .delimited import delimited_records, means_quotes
from .extent import Extent
from .formats import InputKind, format_of
from .lines import lines_of_file, lines_of_stream, refusing_damage
from .records import Record
from .request import Source
from .settings import PredictHow

TEXT, TEXT_PAIR, CHOICES = "text", "text_pair", "choices"
"""Columns of what has no columns of its own"""
_ROWS_AT_ONCE = 1 << 12
_LINES_THAT_TELL = 2048
"""Of a stream, which can't be read twice"""


@dataclass(frozen=True)
class Reading:
    """What is read, row after row."""

    path: Path
    """What messages call it"""
    records: Iterator[Record]
    is_plain: bool
    """Whether rows are texts without columns"""
    has_pair: bool = False
    """Of plain rows: whether there is a second text"""
    rows_at_once: int | None = None
    """How many rows to wait for at most; None for as many as are answered fastest"""
    extent: Extent = field(default_factory=Extent)


def read_source(source: Source, how: PredictHow, *, tagged: bool = False) -> Reading:
    """Begin to read a source; with `tagged` files hold tokens where `finetune` would think so.

    Raises:
        BadInput: at once or while records are taken, with the place.
    """
    if isinstance(source, str):
        values = {TEXT: source, TEXT_PAIR: how.text_pair, CHOICES: list(how.choice)}
        record = Record(1, values)
        return Reading(
            Path("the text"), iter([record]), is_plain=True, has_pair=how.text_pair is not None
        )
    if isinstance(source, Path):
        kind, compression = format_of(source, how.input_format, tagged=tagged)
        extent = _extent(source, kind)
        records = _of_file(source, kind, compression, extent)
        return Reading(source, records, is_plain=kind == "txt", extent=extent)
    return _of_stream(source, how)


def _extent(path: Path, kind: InputKind) -> Extent:
    if kind not in ("parquet", "arrow"):
        with refusing_damage(path):
            return Extent("B", path.stat().st_size)
    return Extent(total=_num_stored(path) if kind == "parquet" else None)


def _num_stored(path: Path) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Whoever reads the file says what is wrong with it.
    with suppress(OSError, pa.ArrowException):
        return pq.read_metadata(path).num_rows
    return None


def _of_stream(stream: BinaryIO, how: PredictHow) -> Reading:
    kind = "txt" if how.input_format == "auto" else how.input_format
    path = Path("standard input")
    lines = lines_of_stream(stream, str(path))
    if kind == "tsv":
        first = list(islice(lines, _LINES_THAT_TELL))
        records = delimited_records(
            chain(first, lines), path, "\t", quotes=means_quotes(lambda: first)
        )
    else:
        records = _parsed(lines, path, kind)
    is_typed = stream.isatty()
    return Reading(path, records, is_plain=kind == "txt", rows_at_once=1 if is_typed else None)


def _of_file(
    path: Path, kind: InputKind, compression: Compression | None, extent: Extent
) -> Iterator[Record]:
    if kind in ("parquet", "arrow"):
        return _stored(path, kind)
    lines = partial(lines_of_file, path, compression, extent)
    if kind == "tsv":
        return _tab_separated(path, lines)
    return _parsed(lines(), path, kind)


def _tab_separated(path: Path, lines: partial[Iterator[str]]) -> Iterator[Record]:
    yield from delimited_records(lines(), path, "\t", quotes=means_quotes(lines))


def _parsed(lines: Iterator[str], path: Path, kind: str) -> Iterator[Record]:
    match kind:
        case "jsonl" | "json":
            return _json(lines, path, may_begin_a_document=kind == "json")
        case "csv":
            return delimited_records(lines, path, ",", quotes=True)
        case "conll":
            return _tagged(lines, path)
        case _:
            return _plain(lines)


def _plain(lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        yield Record(number, {TEXT: line.rstrip("\r\n")}, number)


def _tagged(lines: Iterable[str], path: Path) -> Iterator[Record]:
    """Yield sentences, their columns numbered from 1; tags may be missing."""
    try:
        for number, each in enumerate(sentences_of(lines, fewest=1), start=1):
            columns = map(list, zip(*each.tokens, strict=True))
            yield Record(
                number, {str(at): values for at, values in enumerate(columns, start=1)}, each.line
            )
    except BadSentence as bad:
        raise BadInput(
            f"{path}, line {bad.line:,}: {bad.problem}.",
            hint="A token a line, as many fields in each, and a blank line after each sentence. "
            "Where a line is a text: --input-format txt.",
        ) from bad


def _json(lines: Iterator[str], path: Path, *, may_begin_a_document: bool) -> Iterator[Record]:
    """Yield the objects of JSON Lines, or the questions of a document of SQuAD's."""
    numbered = ((at, line) for at, line in enumerate(lines, start=1) if line.strip())
    first = list(islice(numbered, 1))
    value = _value(first[0][1]) if first else {}
    if may_begin_a_document if value is None else "data" in value:
        second = list(islice(numbered, 1))
        # An object a line may have the key that such a document has.
        if value is None or not second:
            text = "".join(line for _, line in chain(first, second, numbered))
            columns, _ = read_json(path, text)
            rows = zip(*columns.values(), strict=True)
            for number, values in enumerate(rows, start=1):
                yield Record(number, dict(zip(columns, values, strict=True)))
            return
        first += second
    for number, (at, line) in enumerate(chain(first, numbered), start=1):
        yield Record(number, record_of(f"{path}, line {at:,}", line), at)


def _value(line: str) -> Collection[Any] | None:
    """Return the object or list that a line is; None where it may be the first of several lines."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else ()


def _stored(path: Path, kind: InputKind) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with refusing_damage(path):
            if kind == "parquet":
                batches = pq.ParquetFile(path).iter_batches(_ROWS_AT_ONCE)
            else:
                reader = pa.ipc.open_file(pa.memory_map(str(path)))
                batches = (reader.get_batch(each) for each in range(reader.num_record_batches))
            for batch in batches:
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    for values in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                        number += 1
                        yield Record(number, values)
    except pa.ArrowException as error:
        raise BadInput(f"{path} can't be read: {error}.", hint="Is the copy complete?") from error
