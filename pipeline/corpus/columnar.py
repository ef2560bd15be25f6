"""Parquet and Arrow in, portions of documents out: each row of the text column is one document.

Such a file can be cut at its row groups or record batches. Each has a nominal place among the
file's bytes, so a source is a range of bytes here too: it reads the groups that begin in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from .faults import Faults
from .handles import Handle, Lent, LocalFile
from .layouts import Portion, portion_of_record
from .records import MAX_RECORD_BYTES, Fault, no_such_field, too_long
from .settings import CorpusSettings

_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 8192

_ARROW_FILE = b"ARROW1"
"""How the file format begins; what begins otherwise is the stream format."""


@dataclass(frozen=True)
class _Group:
    """A row group or record batch: its name for messages, its nominal place, its text."""

    name: str
    offset: int
    batches: Callable[[], Iterator[pa.RecordBatch]]


class _Unreadable(Exception):
    """A file without rows, without the column, or with one that isn't text."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault[0])
        self.fault = fault


class ColumnReader:
    """The text column of the groups that begin in one range of a file."""

    def __init__(
        self, file: Handle, kind: Literal["parquet", "arrow"], *, start: int, end: int, size: int
    ) -> None:
        self._file = file
        self._kind: Literal["parquet", "arrow"] = kind
        self._start = start
        self._end = end
        self._size = size
        self.consumed = 0
        """Bytes of the file, by the groups' nominal places, that were read so far."""

    def portions(self, settings: CorpusSettings, faults: Faults) -> Iterator[Portion]:
        """Yield the text column of each row as a document of its own."""
        try:
            groups = self._groups(settings.text_field)
        except _Unreadable as error:
            fault = error.fault
        except (pa.ArrowException, OSError) as error:
            fault = self._damage(error)
        else:
            ends = [group.offset for group in groups[1:]] + [self._size]
            for group, end in zip(groups, ends, strict=True):
                if self._start <= group.offset < self._end:
                    yield from self._rows(group, settings, faults)
                    self.consumed += end - group.offset
            return
        if self._start == 0 or faults.policy == "stop":  # other ranges would only repeat it
            found, expected, hint = fault
            faults.report(found, expected=expected, hint=hint)

    def _groups(self, field: str) -> list[_Group]:
        opened = _parquet_groups if self._kind == "parquet" else _arrow_groups
        groups = opened(_for_arrow(self._file), field, self._size)
        if not groups:
            raise _Unreadable(("the file holds no rows", "text", "Remove the file."))
        return groups

    def _rows(self, group: _Group, settings: CorpusSettings, faults: Faults) -> Iterator[Portion]:
        try:
            for row, text in enumerate(chain.from_iterable(map(_texts, group.batches())), 1):
                if isinstance(text, str):
                    yield portion_of_record(text, unwrap=settings.unwrap)
                else:
                    found, expected, hint = _what_is_wrong(text)
                    within = f"{group.name}, row {row:,}"
                    faults.report(found, expected=expected, hint=hint, within=within)
        except (pa.ArrowException, OSError) as error:  # no other range comes to this group
            found, expected, hint = self._damage(error)
            faults.report(found, expected=expected, hint=hint, within=group.name)

    def _damage(self, error: Exception) -> Fault:
        found = f"can't be read as {self._kind.title()} ({error})"
        return found, "a whole file", "Copy or make the file again."


def _for_arrow(file: Handle) -> Any:
    # What lies on this machine Arrow reads faster by itself.
    if isinstance(file, LocalFile):
        return pa.OSFile(str(file.name))
    return pa.PythonFile(Lent(file), mode="r")


def _parquet_groups(source: Any, field: str, size: int) -> list[_Group]:
    # Unbuffered in advance: memory then follows the pages read, not the row group.
    file: Any = pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False)
    _check_column(file.schema_arrow, field)
    groups: list[_Group] = []
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        if not group.num_rows:
            continue
        first = group.column(0)
        begin = first.dictionary_page_offset or first.data_page_offset
        read = partial(
            file.iter_batches,
            batch_size=_rows_at_once(group.num_rows, _text_bytes(group, field)),
            row_groups=[index],
            columns=[field],
            use_threads=False,
        )
        offset = max(begin, groups[-1].offset) if groups else 0
        groups.append(_Group(f"row group {index + 1:,}", min(offset, size - 1), read))
    return groups


def _text_bytes(group: Any, field: str) -> int:
    columns = (group.column(index) for index in range(group.num_columns))
    return sum(each.total_uncompressed_size for each in columns if each.path_in_schema == field)


def _arrow_groups(source: Any, field: str, size: int) -> list[_Group]:
    is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
    source.seek(0)
    schema = (ipc.open_file(source) if is_file else ipc.open_stream(source)).schema
    _check_column(schema, field)
    options = ipc.IpcReadOptions(included_fields=[schema.get_field_index(field)], use_threads=False)
    source.seek(0)
    if not is_file:
        stream: Any = ipc.open_stream(source, options=options)
        return [_Group("record batches", 0, partial(chain.from_iterable, map(_slices, stream)))]
    reader: Any = ipc.open_file(source, options=options)
    number = reader.num_record_batches
    return [
        _Group(
            f"record batch {index + 1:,}",
            size * index // number,
            partial(_read_batch, reader, index),
        )
        for index in range(number)
    ]


def _read_batch(reader: Any, index: int) -> Iterator[pa.RecordBatch]:
    yield from _slices(reader.get_batch(index))


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = _rows_at_once(batch.num_rows, batch.nbytes)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _rows_at_once(num_rows: int, num_bytes: int) -> int:
    width = num_bytes // max(1, num_rows)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, width)))


def _check_column(schema: pa.Schema, field: str) -> None:
    if schema.get_field_index(field) < 0:
        raise _Unreadable(no_such_field(schema.names, field))
    kind: Any = schema.field(field).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (
        pa.types.is_string(value)
        or pa.types.is_large_string(value)
        or pa.types.is_string_view(value)
    ):
        hint = "Name another column with --text-field."
        raise _Unreadable((f"the column {field!r} holds {kind}", "strings", hint))


class _TooLong:
    """Stands for a value that is not to be copied into memory once more."""


def _what_is_wrong(value: bytes | _TooLong | None) -> Fault:
    if isinstance(value, _TooLong):
        return too_long("text")
    return "no text (null)" if value is None else "invalid UTF-8", "text", "Mend the row."


def _texts(batch: pa.RecordBatch) -> Iterator[str | bytes | _TooLong | None]:
    """Yield the values of the only column; bytes where one isn't UTF-8."""
    values: Any = batch.column(0)
    if batch.nbytes > MAX_RECORD_BYTES:
        yield from map(_short_text, values)
        return
    try:
        yield from values.to_pylist()
    except UnicodeDecodeError:
        binary = pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary()
        for value in values.cast(binary):
            yield _decoded(value.as_py())


def _short_text(scalar: Any) -> str | bytes | _TooLong | None:
    if isinstance(scalar, pa.DictionaryScalar):
        scalar = scalar.value
    buffer = scalar.as_buffer() if scalar.is_valid else None
    if buffer is None:
        return None
    return _TooLong() if buffer.size > MAX_RECORD_BYTES else _decoded(buffer.to_pybytes())


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value
