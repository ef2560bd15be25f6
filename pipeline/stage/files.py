"""Writing so that nothing is ever half there, and recognising what was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import WorkFailed

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """What a finished file must look like: its size in bytes and its SHA-256, in hex."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Read the file once and record it."""
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
        return cls(size, digest.hexdigest())

    @classmethod
    def without_digest(cls, path: Path) -> FileRecord:
        """Record only the size."""
        return cls(path.stat().st_size, "")

    def as_json(self) -> dict[str, Any]:
        """Return the record as it stands in a manifest."""
        return asdict(self)


def canonical_json(value: Any) -> str:
    """Return the one JSON text that stands for `value`, fit to be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_json(path: Path, value: Mapping[str, Any], *, aside: Path | None = None) -> None:
    """Write readable JSON to `path`: all of it or nothing, and on the disk when this returns.

    It grows at `aside`, on the same file system, until it is whole.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    aside = aside or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(text, encoding="utf-8")
    except OSError as error:
        error.filename = error.filename or str(path)  # of a full disk the system names no file
        raise
    publish(aside, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where there is no file or no such object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def publish(aside: Path, path: Path) -> None:
    """Move a finished file or directory to its name, both surviving a power cut."""
    for each in (*aside.rglob("*"), aside) if aside.is_dir() else (aside,):
        _sync(each)
    aside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WorkFailed(f"{path}: can't be written to disk: {error.strerror}.") from error
