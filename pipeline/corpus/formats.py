"""What a file holds, told by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Kind = Literal["text", "jsonl"]
Compression = Literal["gz", "zst", "xz", "bz2"]

KINDS: dict[str, Kind] = {".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl"}
COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".xz": "xz", ".bz2": "bz2"}


@dataclass(frozen=True)
class Format:
    """How a file's bytes become text."""

    kind: Kind
    compression: Compression | None


def format_of(path: str) -> Format | None:
    """Return the format that the name's suffixes say; None for a file that isn't read."""
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes[-2:]]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    return None if kind is None else Format(kind, compression)


def what_is_read() -> str:
    """Return one line that lists the suffixes, for messages."""
    return f"{', '.join(KINDS)}, each also with {', '.join(COMPRESSIONS)}"
