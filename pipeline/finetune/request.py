"""What `bertctl finetune` was asked for, and what that turned out to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..training.settings import NumericsSettings
from ..training.starting_point import StartingPoint
from .examples.columns import Columns
from .examples.examples import Examples, Known
from .examples.kinds import kind_named
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

    settings: FinetuneSettings
    """As they were given, with every `auto` settled that the files settle"""
    kind: str
    """Which kind of example the files hold"""
    columns: Columns
    examples: Mapping[str, Examples[Any]]
    """By the name of the part; rows without a label are still among them."""
    known: Known
    start: StartingPoint
    keeps_head: bool
    """Whether the model was fitted to these very labels before, so that it goes on with them."""

    @property
    def needs_pooler(self) -> bool:
        """Whether the head reads what the pooler makes of a sequence."""
        return kind_named(self.kind).pools and self.settings.features == "last"
