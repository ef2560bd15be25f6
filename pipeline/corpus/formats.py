"""What a file holds, told by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

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


@dataclass(frozen=True)
class Format:
    """How a file's bytes become text."""

    kind: Kind
    compression: Compression | None


def format_of(path: str) -> Format | None:
    """Return the format that the name's suffixes say; None for a file that isn't read."""
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes[-2:]]
    if not suffixes:
        return None
    compression = COMPRESSIONS.get(suffixes[-1])
    if compression is None:
        kind = STREAMS.get(suffixes[-1]) or COLUMNAR.get(suffixes[-1])
    else:
        kind = STREAMS.get(suffixes[0]) if len(suffixes) == 2 else None
    return None if kind is None else Format(kind, compression)


def what_is_read() -> str:
    """Return one line that lists the suffixes, for messages."""
    return (
        f"{', '.join(COLUMNAR)}, {', '.join(STREAMS)}; the last {len(STREAMS)} also with "
        f"{', '.join(COMPRESSIONS)}"
    )
