"""Is every file of the manifest there, unharmed, and does the manifest hold together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..stage.report import Progress, Reporter
from .checks import Check, equal
from .claim import Claim

_BLOCK_BYTES = 1 << 20
_CONTENT_BITS = 256


def check_files(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield a check for all files together and one for each that isn't as it was written."""
    yield from check_records(claim.directory, claim.files, reporter)
    yield from _strangers(claim)


def check_records(
    directory: Path, files: Mapping[str, Mapping[str, Any]], reporter: Reporter
) -> Iterator[Check]:
    """Take the checksums of files, whose size and SHA-256 are recorded by name."""
    expected_bytes = sum(each["size"] for each in files.values())
    faults: list[Check] = []
    with reporter.phase("checksums", total=expected_bytes, unit="B") as progress:
        for name, record in sorted(files.items()):
            found, expected = _look_at(directory / name, record, progress)
            if found != expected:
                faults.append(Check(name, found, expected, ok=False))
    yield equal("files whole", len(files) - len(faults), len(files))
    yield from faults


def check_manifest(claim: Claim) -> Iterator[Check]:
    """Yield whether the manifest's own sums come out, and whether `recipe.json` is its recipe."""
    recipe = claim.recipe
    content = sum(int(each, 16) for each in claim.manifest["contents"].values())
    content_hex = f"{content % 2**_CONTENT_BITS:064x}"
    parts = [recipe[name] for name in ("stage", "format_version", "what")]
    fingerprint = _digest([*parts, content_hex, recipe["earlier"]])
    claimed = str(claim.manifest.get("fingerprint"))
    yield Check("fingerprint", fingerprint[:12], claimed[:12], fingerprint == claimed)
    try:
        beside = json.loads((claim.directory / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        beside = {}
    # Numerics may change when a run is resumed.
    names = ("stage", "format_version", "what", "earlier")
    same = all(beside.get(name) == recipe[name] for name in names)
    yield Check("recipe.json", "the same" if same else "another", "the same", ok=same)


def _strangers(claim: Claim) -> Iterator[Check]:
    """Yield files that a reader would take for the output's, and listed ones that can't be its."""
    patterns = claim.recipe.get("owns") or ()
    for name in sorted(claim.files):
        if patterns and not any(fnmatch(name, each) for each in patterns):
            yield Check(name, "listed", "no such file in this kind of output", ok=False)
    for pattern in patterns:
        if "/" in pattern:
            continue  # logs and checkpoints, of which the manifest lists none or some
        for path in sorted(claim.directory.glob(pattern)):
            if path.name not in claim.files:
                yield Check(path.name, "there", "not in the manifest", ok=False)


def _look_at(path: Path, record: Mapping[str, Any], progress: Progress) -> tuple[str, str]:
    """Return what was found and what is expected, alike if the file is whole."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                progress.advance(len(block))
    except FileNotFoundError:
        return "missing", _bytes(record["size"])
    except OSError as error:
        return str(error.strerror), _bytes(record["size"])
    if size != record["size"]:
        return _bytes(size), _bytes(record["size"])
    if digest.hexdigest() == record["sha256"]:
        return "whole", "whole"
    return f"SHA-256 {digest.hexdigest()[:12]}", f"SHA-256 {record['sha256'][:12]}"


def _bytes(size: int) -> str:
    return f"{size:,} bytes"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
