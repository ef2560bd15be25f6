"""A labelled file turned into a table: named columns, each row with its place for messages.

Such files are small and trusted least of all: they are read whole, once, and digested from the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from ...corpus.compression import Damaged, archive_kind, decompressed
from ...corpus.formats import COMPRESSIONS, Compression
from ...errors import BadInput
from ...stage.files import fingerprint_of
from .conll import Sentences, read_sentences
from .delimited import Grid, read_grid, read_tab_separated
from .json_rows import read_json

Kind = Literal["csv", "tsv", "json", "conll", "parquet"]
KINDS: Mapping[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
}
TAGGED_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys((".conll", ".iob", ".iob2", ".bio", ".bioes", ".txt", ".tsv"), "conll"),
    **{suffix: kind for suffix, kind in KINDS.items() if kind in ("json", "parquet")},
}
"""What files of tagged tokens hold: there a table has a token a line."""


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
    """Where each row begins, counted from 1; nothing where rows have no lines."""
    first: int = 0
    """How many rows of the file come before these"""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """Return where row `row`, counted from 0, stands: for people, who count from 1."""
        line = f" (line {self.lines[row]:,})" if self.lines else ""
        return f"{self.path}, row {self.first + row + 1:,}{line}"


def read_table(path: Path, *, kinds: Mapping[str, Kind] = KINDS) -> Table:
    """Read a labelled file, packed or not; `kinds` says what a suffix stands for.

    The first line of CSV and TSV names the columns. Those of CoNLL's shape are numbered.

    Raises:
        BadInput: it can't be read, with the place.
    """
    kind, compression = _format_of(path, kinds)
    data, digest = _read(path, compression, is_text=kind != "parquet")
    match kind:
        case "csv":
            columns, lines = _columns(path, read_grid(_decoded(path, data), ","))
        case "tsv":
            columns, lines = _columns(path, read_tab_separated(_decoded(path, data)))
        case "json":
            columns, lines = read_json(path, _decoded(path, data))
        case "conll":
            columns, lines = _tagged(path, read_sentences(_decoded(path, data)))
        case "parquet":
            columns, lines = _stored(path, data), []
    table = Table(path, fingerprint_of([kind, digest]), columns, lines)
    if not len(table):
        raise BadInput(f"{path} holds no rows.", hint="Is it the right file?")
    return table


def _format_of(path: Path, kinds: Mapping[str, Kind]) -> tuple[Kind, Compression | None]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    kind = kinds.get(suffixes[-1]) if suffixes else None
    if path.is_dir():
        raise BadInput(
            f"{path} is a directory; expected one file.", hint="Name the file with the rows."
        )
    if kind is None:
        raise BadInput(
            f"{path} has a suffix that is not read; expected {', '.join(kinds)}, each also with "
            f"{', '.join(COMPRESSIONS)}.",
            hint="Rename it if it is one of these, or convert it.",
        )
    return kind, compression


def _read(path: Path, compression: Compression | None, *, is_text: bool) -> tuple[bytes, str]:
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
    if is_text and (kind := archive_kind(data[:8])):
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


def _tagged(path: Path, read: Sentences) -> tuple[dict[str, Sequence[Any]], Sequence[int]]:
    if read.problem is not None:
        raise BadInput(
            f"{path}, line {read.problem_line:,}: {read.problem}.",
            hint="A token and its tag a line, two to five fields, and a blank line after each "
            "sentence.",
        )
    return dict(read.columns), read.lines


def _stored(path: Path, data: bytes) -> dict[str, Sequence[Any]]:
    # Only who has such a file pays for the library.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(data)).to_pydict()
    except pa.ArrowException as error:
        raise BadInput(
            f"{path} can't be read as Parquet: {error}.", hint="Is the copy complete?"
        ) from error
