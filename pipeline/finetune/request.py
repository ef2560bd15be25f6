"""What `bertctl finetune` was asked for, and what that turned out to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..training.settings import NumericsSettings
from ..training.starting_point import StartingPoint
from .columns import Columns
from .examples import Examples
from .settings import FinetuneHow, FinetuneSettings


@dataclass(frozen=True)
class FinetuneRequest:
    """Everything `bertctl finetune` was asked for; `model` is a directory or `random:SIZE`."""

    model: str
    train: Path
    validation: Path | None = None
    test: Path | None = None
    vocab: Path | None = None
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    numerics: NumericsSettings = field(default_factory=NumericsSettings)
    how: FinetuneHow = field(default_factory=FinetuneHow)
    should_stop: Callable[[], bool] = lambda: False

    @property
    def files(self) -> dict[str, Path]:
        """The labelled files by the name of their part."""
        files = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: path for name, path in files.items() if path is not None}


@dataclass(frozen=True)
class Material:
    """The labelled files, read and checked, and the model to start from."""

    columns: Columns
    examples: Mapping[str, Examples]
    """By the name of the part; rows with an ignored label are still among them."""
    labels: tuple[str, ...]
    """In the order of their ids."""
    label_ids: Mapping[str, list[int]]
    start: StartingPoint
    keeps_head: bool
    """Whether the model was fitted to these very labels before, so that it goes on with them."""
