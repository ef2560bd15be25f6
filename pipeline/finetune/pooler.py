"""The pooler, which some models lack and some heads need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import BadInput

POOLER = "bert.pooler."


def has_pooler(names: Iterable[str]) -> bool:
    """Tell whether weights of these names have one; a bare encoder's lack the first part."""
    return any(f"bert.{name.removeprefix('bert.')}".startswith(POOLER) for name in names)


def without_pooler(directory: Path) -> BadInput:
    """Return what is wrong with a model that lacks one where none is trained."""
    return BadInput(
        f"{directory} has no pooler, and --train-layers none would leave a new one as it is drawn.",
        hint="Give --train-layers head to train it, or --features mix to do without.",
    )
