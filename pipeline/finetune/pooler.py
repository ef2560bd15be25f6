"""The pooler, which some models lack and some heads read."""

from __future__ import annotations

from collections.abc import Iterable

POOLER = "bert.pooler."


def has_pooler(names: Iterable[str]) -> bool:
    """Tell whether weights of these names have one."""
    return any(name.startswith(POOLER) for name in names)
