"""What stands in a checkpoint's `checkpoint.json`; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage.files import FileRecord, read_json, write_json
from .model_layout import CONFIG, MODEL, WEIGHTS

STATE = "checkpoint.json"
OPTIMIZER = "optimizer.safetensors"
_NEEDED = (f"{MODEL}/{CONFIG}", f"{MODEL}/{WEIGHTS}", OPTIMIZER)


@dataclass(frozen=True)
class CheckpointRecord:
    """Which files make up a checkpoint, and what the run itself keeps in it."""

    step: int
    progress: Mapping[str, Any]
    files: Mapping[str, FileRecord]

    def write(self, directory: Path) -> None:
        """Write the record, which makes the files around it a checkpoint."""
        files = {name: each.as_json() for name, each in self.files.items()}
        content = {"step": self.step, "progress": self.progress, "files": files}
        write_json(directory / STATE, content)

    @classmethod
    def read(cls, directory: Path) -> CheckpointRecord | None:
        """Read a directory's record; None where there is none, or something else in its place."""
        content = read_json(directory / STATE)
        if content is None:
            return None
        step, progress, files = (content.get(name) for name in ("step", "progress", "files"))
        if not (isinstance(step, int) and isinstance(progress, dict) and isinstance(files, dict)):
            return None
        try:
            records = {name: FileRecord(**each) for name, each in files.items()}
        except TypeError:
            return None
        if not all(name in records for name in _NEEDED):
            return None
        return cls(step, progress, records)
