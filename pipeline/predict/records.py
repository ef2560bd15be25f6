"""One row of input after another, whatever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """A row: `number` counts from 1, and so does the `line` it begins in; 0 where it has none."""

    number: int
    values: Mapping[str, Any]
    """By the name of the column"""
    line: int = 0
