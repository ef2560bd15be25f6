"""What `bertctl pretrain` was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..training.settings import NumericsSettings
from .settings import ArchitectureSettings, PretrainHow, PretrainSettings


@dataclass(frozen=True)
class PretrainRequest:
    """Everything `bertctl pretrain` was asked for; `config` replaces the size where it is given."""

    shards: Path
    config: Mapping[str, Any] | None = None
    architecture: ArchitectureSettings = field(default_factory=ArchitectureSettings)
    training: PretrainSettings = field(default_factory=PretrainSettings)
    numerics: NumericsSettings = field(default_factory=NumericsSettings)
    how: PretrainHow = field(default_factory=PretrainHow)
    should_stop: Callable[[], bool] = lambda: False
