"""What `bertctl pretrain` was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..training.place import Place
from ..training.settings import NumericsSettings
from .settings import ArchitectureSettings, PretrainHow, PretrainSettings, ProcessNumerics


@dataclass(frozen=True)
class PretrainRequest:
    """Everything `bertctl pretrain` was asked for."""

    shards: tuple[Path, ...]
    """Read one after another, each for its share of the steps."""
    config: Mapping[str, Any] | None = None
    """In place of a size."""
    init: Path | None = None
    """A model whose weights and shape to begin with."""
    architecture: ArchitectureSettings = field(default_factory=ArchitectureSettings)
    training: PretrainSettings = field(default_factory=PretrainSettings)
    numerics: NumericsSettings = field(default_factory=NumericsSettings)
    processes: ProcessNumerics = field(default_factory=ProcessNumerics)
    how: PretrainHow = field(default_factory=PretrainHow)
    should_stop: Callable[[], bool] = lambda: False
    place: Place = field(default_factory=Place)
    """Which of the processes this is that train together."""
