"""Figures of the steps, beside the output: times and rates stand here and nowhere else."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

from .writing import naming

_BLOCK_BYTES = 1 << 16


class MetricsLog:
    """Figures by step, one JSON object a line; a step that is taken again replaces its line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, figures: dict[str, Any]) -> None:
        """Append a line."""
        with naming(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps that a checkpoint before them is about to take again.

        The file is read from its end, no further back than they go.
        """
        if not self._path.exists():
            return
        with naming(self._path), self._path.open("r+b") as file:
            file.truncate(_end_of(file, step))


def _end_of(file: BinaryIO, step: int) -> int:
    """Return where the last whole line ends that tells of `step` or an earlier one."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        tail = file.read(end - start) + tail
        # What stands before the first line's end may be the rest of an earlier block's line.
        first = tail.find(b"\n") + 1 if start else 0
        lines = tail[first:].splitlines(keepends=True)
        place = start + len(tail)
        for line in reversed(lines):
            if _tells_of(line) <= step:
                return place
            place -= len(line)
        tail, end = tail[:first], start
    return 0


def _tells_of(line: bytes) -> float:
    """Return the step a line is about; infinity where it isn't whole."""
    try:
        step = json.loads(line)["step"] if line.endswith(b"\n") else math.inf
        return step if isinstance(step, int | float) else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf
