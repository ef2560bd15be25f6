"""What an input holds: told by its name, or by whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..corpus.formats import COMPRESSIONS, Compression
from ..errors import BadInput

InputKind = Literal["txt", "jsonl", "json", "csv", "tsv", "conll", "parquet", "arrow"]

_KINDS: Mapping[str, InputKind] = MappingProxyType(
    {
        ".txt": "txt",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".json": "json",
        ".csv": "csv",
        ".tsv": "tsv",
        ".parquet": "parquet",
        ".arrow": "arrow",
        ".feather": "arrow",
    }
)
_TAGGED: Mapping[str, InputKind] = MappingProxyType(
    {
        **_KINDS,
        **dict.fromkeys((".conll", ".iob", ".iob2", ".bio", ".bioes", ".txt", ".tsv"), "conll"),
    }
)
"""Of tokens: as `finetune` reads them"""
_STORED = ("parquet", "arrow")
"""Not read from beginning to end, and never packed as a whole"""


def format_of(path: Path, given: str, *, tagged: bool) -> tuple[InputKind, Compression | None]:
    """Return what a file holds; `given` says it where its name doesn't, `auto` that it does.

    Raises:
        BadInput: the suffix is none that is read.
    """
    found = _found(path, _TAGGED if tagged else _KINDS)
    compression = None if found is None else found[1]
    if given != "auto":
        kind: InputKind = given  # pyright: ignore[reportAssignmentType]
        return kind, compression or COMPRESSIONS.get(path.suffix.lower())
    if found is None:
        packed = [name for name, kind in _KINDS.items() if kind not in _STORED]
        raise BadInput(
            f"{path} has a suffix that is not read; expected one of {', '.join(_KINDS)}, "
            f"of which {', '.join(packed)} also with {', '.join(COMPRESSIONS)}.",
            hint="Rename it if it is one of these, or say what it holds with --input-format.",
        )
    return found


def looks_like_a_file(named: str) -> bool:
    """Whether what was typed for a text rather is the name of a file."""
    return _found(Path(named), _TAGGED) is not None and not any(each.isspace() for each in named)


def _found(
    path: Path, kinds: Mapping[str, InputKind]
) -> tuple[InputKind, Compression | None] | None:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression is not None:
        suffixes.pop()
    kind = kinds.get(suffixes[-1]) if suffixes else None
    if kind is None or (compression is not None and kind in _STORED):
        return None
    return kind, compression
