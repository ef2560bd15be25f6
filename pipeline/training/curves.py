"""The curves of a run for TensorBoard, where its package is installed (extra `tensorboard`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Curves:
    """Scalars by step in `log/tensorboard/`; without the package nothing is written."""

    def __init__(self, directory: Path, *, done: int) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        # What was shown of steps after the checkpoint is taken back.
        self._writer = SummaryWriter(str(directory), purge_step=done + 1 if done else None)

    def write(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        """Add a point to each figure's curve."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Bring everything to the disk."""
        if self._writer is not None:
            self._writer.close()
