"""A labelled file turned into a table: named columns, each row with its place for messages.

Such files are small and trusted least of all: they are read whole, once, and digested from the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from ..corpus.compression import Damaged, archive_kind, decompressed
from ..corpus.formats import COMPRESSIONS, Compression
from ..errors import BadInput
from ..stage.files import fingerprint_of
from .delimited import Grid, read_grid, read_tab_separated

Kind = Literal["csv", "tsv", "jsonl"]
KINDS: Mapping[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True)
class Table:
    """The rows of a file, column by column; every column has `len(table)` values.

    A value is text, or any JSON value; None where a JSON record lacks the field.
    """

    path: Path
    fingerprint: str
    """SHA-256 over the format and the bytes, so that a renamed copy is the same file."""
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    """Where each row begins, counted from 1."""

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return where row `row`, counted from 0, stands: for people, who count from 1."""
        return f"{self.path}, row {row + 1:,} (line {self.lines[row]:,})"


def read_table(path: Path) -> Table:
    """Read a CSV or TSV file whose first line names the columns, or JSON Lines; packed or not.

    Raises:
        BadInput: it can't be read, with the place.
    """
    kind, compression = _format_of(path)
    data, digest = _read(path, compression)
    text = _decoded(path, data)
    match kind:
        case "csv":
            columns, lines = _columns(path, read_grid(text, ","))
        case "tsv":
            columns, lines = _columns(path, read_tab_separated(text))
        case "jsonl":
            columns, lines = _records(path, text)
    if not lines:
        raise BadInput(f"{path} holds no rows.", hint="Is it the right file?")
    return Table(path, fingerprint_of([kind, digest]), columns, lines)


def _format_of(path: Path) -> tuple[Kind, Compression | None]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise BadInput(
            f"{path} has a suffix that is not read; expected {', '.join(KINDS)}, each also with "
            f"{', '.join(COMPRESSIONS)}.",
            hint="Rename it if it is one of these, or convert it.",
        )
    return kind, compression


def _read(path: Path, compression: Compression | None) -> tuple[bytes, str]:
    """Return what the file holds, unpacked, and the SHA-256 of the file as it is."""
    try:
        with FileIO(path) as file:
            data = file.readall()
            digest = hashlib.sha256(data).hexdigest()
            if data and compression is not None:
                file.seek(0)
                data = b"".join(decompressed(file, compression))
    except OSError as error:
        raise BadInput(
            f"{path} can't be read: {error.strerror}.", hint="Check the spelling of the path."
        ) from error
    except Damaged as error:
        raise BadInput(f"{path}: {error}.", hint="Copy or make the archive again.") from error
    if not data:
        raise BadInput(f"{path} is empty; expected rows.", hint="Is it the right file?")
    if kind := archive_kind(data[:8]):
        raise BadInput(
            f"{path} holds a {kind} archive; expected text.",
            hint="Unpack it, or give it the suffix that says how it is packed.",
        )
    return data, digest


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(
            f"{path} is UTF-16; expected UTF-8 text.",
            hint="Convert it, for example with: iconv -f UTF-16 -t UTF-8.",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{path}, line {line:,} (byte {error.start:,}): "
            f"invalid UTF-8 (0x{data[error.start]:02x}: {error.reason}); expected UTF-8 text.",
            hint="Convert the file, for example with: iconv -f LATIN1 -t UTF-8.",
        ) from error
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise BadInput(
            f"{path}, line {line:,}: a NUL byte, as binary files have; expected UTF-8 text."
        )
    return text.removeprefix("\ufeff")


def _columns(path: Path, grid: Grid) -> tuple[dict[str, Sequence[Any]], Sequence[int]]:
    if grid.problem is not None:
        raise BadInput(
            f"{path}, line {grid.problem_line:,}: {grid.problem}.",
            hint="Every row has a field for each column; a field with the separator, a quote or a "
            "line end in it stands in quotes.",
        )
    if not grid.rows:
        raise BadInput(f"{path} holds only blank lines; expected a line that names the columns.")
    names = [name.strip() for name in grid.rows[0]]
    for name in names:
        if name and names.count(name) > 1:
            raise BadInput(f"{path}, line 1: two columns are named {name!r}.", hint="Rename one.")
    values = list(zip(*grid.rows[1:], strict=True)) or [()] * len(names)
    return dict(zip(names, values, strict=True)), grid.lines[1:]


def _records(path: Path, text: str) -> tuple[dict[str, Sequence[Any]], Sequence[int]]:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            records.append(_record(f"{path}, line {number:,}", line))
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


def _record(place: str, line: str) -> dict[str, Any]:
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
