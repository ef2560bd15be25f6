"""A source in, portions of its documents out: which reader takes it, and from where to where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..stage.recipe import ListedInput
from .boundaries import boundary_pattern, first_boundary
from .compression import BLOCK_BYTES
from .faults import Faults
from .formats import Format
from .handles import Handle
from .layouts import Portion, portions_of_lines
from .lines import read_lines
from .opening import ByteStream
from .pieces import Progress
from .records import MAX_RECORD_BYTES, portions_of_records
from .settings import CorpusSettings

_COUNTED_BYTES = 1 << 30
"""How much of a file is read again to give a fault its line number."""


def portions_of(
    handle: Handle,
    file: ListedInput,
    how: Format,
    nominal: tuple[int, int],
    settings: CorpusSettings,
    faults: Faults,
) -> tuple[Progress, Iterator[Portion]] | None:
    """Return the documents of one source in portions; None if it lies inside a single document.

    `nominal` is the range of the file, by whose rules see `first_boundary` and `ColumnReader`.
    """
    if how.kind in ("parquet", "arrow") and file.size:
        from .columnar import ColumnReader

        start, end = nominal
        reader = ColumnReader(handle, how.kind, start=start, end=end, size=file.size)
        return reader, reader.portions(settings, faults)
    begin, end = nominal
    if nominal != (0, file.size):
        assert how.kind in ("text", "jsonl"), "a file of any other kind is read whole"
        begin, end = _range(handle, nominal, file.size, how.kind, settings)
        if begin == end:
            return None
    if how.compression is None:
        faults.lines_before = lambda: _count_lines(handle, begin)
    else:
        faults.unit = "unpacked byte"
    stream = ByteStream(handle, file, faults, begin=begin, end=end, compression=how.compression)
    return stream, _portions_of_stream(stream, how, settings, faults)


def _range(
    handle: Handle,
    nominal: tuple[int, int],
    size: int,
    kind: Literal["text", "jsonl"],
    settings: CorpusSettings,
) -> tuple[int, int]:
    pattern = boundary_pattern(kind, settings)
    start, end = nominal
    begin = first_boundary(handle, start, size=size, pattern=pattern, before=end)
    if begin is None:
        return end, end
    stop = first_boundary(handle, end, size=size, pattern=pattern)
    assert stop is not None, "only with `before` is there no answer"
    return begin, stop


def _portions_of_stream(
    stream: ByteStream, how: Format, settings: CorpusSettings, faults: Faults
) -> Iterator[Portion]:
    match how.kind:
        case "text":
            lines = read_lines(stream, faults, longest=settings.max_document_bytes)
            return portions_of_lines(lines, settings)
        case "jsonl":
            lines = read_lines(stream, faults, longest=MAX_RECORD_BYTES)
            return portions_of_records(lines, settings, faults)
        case _:
            from .tables import portions_of_rows

            separator = "\t" if how.kind == "tsv" else ","
            return portions_of_rows(stream, settings, faults, separator=separator)


def _count_lines(handle: Handle, end: int) -> int | None:
    if end > _COUNTED_BYTES:
        return None
    lines = position = 0
    while position < end:
        block = handle.pread(min(BLOCK_BYTES, end - position), position)
        if not block:
            break
        lines += block.count(b"\n")
        position += len(block)
    return lines
