"""Whether the input files of an output still are what they were when it was made, by their listing.

Their content is not read: a file of another size is another one, one that was merely touched may be
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..stage.files import fingerprint_of, read_json
from ..stage.ownership import SEEN_INPUTS
from ..stage.recipe import Difference, ListedInput
from .finding import Output


@dataclass(frozen=True)
class InputChanges:
    """What became of the input files."""

    changed: tuple[Difference, ...] = ()
    """Files that are missing or have another size"""
    touched: int = 0
    """Files of the same size that were written to since, and may be the same"""
    moved: bool = False
    """Whether none of several files is where it was: the corpus may only have been moved."""


def changes_of(output: Output) -> InputChanges:
    """Compare the listing in an output's recipe with the files as they are."""
    if output.recipe is None:
        return InputChanges()
    listed = [each for each in output.recipe.inputs if Path(each.path).is_absolute()]
    now = [_look_at(each.path) for each in listed]
    if all(each == old for each, old in zip(now, listed, strict=True)):
        return InputChanges()
    if not any(now):
        return InputChanges(moved=True)
    if _is_known_to_be_the_same(output, [each for each in now if each is not None]):
        return InputChanges()
    pairs = list(zip(listed, now, strict=True))
    return InputChanges(
        changed=tuple(
            Difference(f"input {old.path}", _size(old), _size(new))
            for old, new in pairs
            if new is None or new.size != old.size
        ),
        touched=sum(new is not None and new != old and new.size == old.size for old, new in pairs),
    )


def _look_at(path: str) -> ListedInput | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return ListedInput(path, status.st_size, status.st_mtime_ns)


def _is_known_to_be_the_same(output: Output, now: Sequence[ListedInput]) -> bool:
    """Whether a later run has read this listing and found the content it knew."""
    if output.manifest is None:
        return False
    ordered = sorted(now, key=lambda each: each.path)
    listing = fingerprint_of([asdict(each) for each in ordered])
    seen = read_json(output.directory / SEEN_INPUTS) or {}
    return seen.get("same") == [listing, output.manifest.content]


def _size(listed: ListedInput | None) -> str | None:
    return None if listed is None else f"{listed.size:,} bytes"
