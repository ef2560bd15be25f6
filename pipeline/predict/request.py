"""What `bertctl predict` was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..training.settings import NumericsSettings
from .settings import PredictHow

Source = Path | str | BinaryIO
"""A file; a text itself; or a stream of bytes, such as standard input."""


@dataclass(frozen=True)
class PredictRequest:
    """Everything that a prediction needs."""

    model: Path
    source: Source
    how: PredictHow = field(default_factory=PredictHow)
    numerics: NumericsSettings = field(default_factory=NumericsSettings)
