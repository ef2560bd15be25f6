"""What a file holds, told by its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from ..errors import BadInput

Kind = Literal["text", "jsonl", "csv", "tsv", "parquet", "arrow"]
Compression = Literal["gz", "zst", "xz", "bz2"]

STREAMS: dict[str, Kind] = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
"""Read from beginning to end, so each may be compressed as a whole."""
COLUMNAR: dict[str, Kind] = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}
COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".xz": "xz", ".bz2": "bz2"}

_PACKED = (".tar", ".tgz", ".zip", ".7z", ".rar", *(f".tar{each}" for each in COMPRESSIONS))


@dataclass(frozen=True)
class Format:
    """How a file's bytes become text."""

    kind: Kind
    compression: Compression | None


def format_of(path: str) -> Format | None:
    """Return the format that the name's suffixes say; None for a file that isn't read."""
    stem, suffix = _split(path.lower())
    compression = COMPRESSIONS.get(suffix)
    if compression is None:
        kind = STREAMS.get(suffix) or COLUMNAR.get(suffix)
    else:
        kind = STREAMS.get(_split(stem)[1])
    return None if kind is None else Format(kind, compression)


def check_suffix(named: str, path: str) -> None:
    """Raise `BadInput` for a file that was named and isn't read."""
    if format_of(path) is None:
        raise BadInput(
            f"{named} has a suffix that is not read; expected {what_is_read()}.",
            hint="Unpack it first, and name the directory with its files."
            if path.lower().endswith(_PACKED)
            else "Rename it if it is one of these, or leave it out.",
        )


def _split(path: str) -> tuple[str, str]:
    # Asked of every file in a directory, where a Path object would cost more than the question.
    return os.path.splitext(path)  # noqa: PTH122


def what_is_read() -> str:
    """Return one line that lists the suffixes, for messages."""
    return (
        f"{', '.join(COLUMNAR)}, {', '.join(STREAMS)}; the last {len(STREAMS)} also with "
        f"{', '.join(COMPRESSIONS)}"
    )
