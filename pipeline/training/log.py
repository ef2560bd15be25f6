"""Figures of the steps, beside the output: times and rates stand here and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .writing import naming


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
        """Drop the lines of steps that a checkpoint before them is about to take again."""
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with naming(self._path):
            self._path.write_text("".join(kept), encoding="utf-8")
