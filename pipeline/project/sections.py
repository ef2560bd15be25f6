"""What a project file may hold: its sections, the settings of each, and what they are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..corpus.settings import CorpusSettings, SentenceSettings
from ..finetune.settings import FinetuneHow, FinetuneSettings
from ..pretrain.settings import (
    ArchitectureSettings,
    PretrainHow,
    PretrainSettings,
    ProcessNumerics,
    TimeHow,
)
from ..shard.settings import InstanceSettings, ShardHow
from ..stage.labour import LabourSettings
from ..stage.settings import Setting, settings_of
from ..training.settings import NumericsSettings
from ..vocab.settings import VocabHow, VocabSettings

PROJECT, CORPUS = "project", "corpus"
OUTPUT = "output"
_NOT_HERE = frozenset({"task", "finalize"})
"""Shares of an array's work: a project is one command, not many."""


@dataclass(frozen=True)
class Source:
    """A key that says what something is made from: a variant of an earlier stage, or a place."""

    key: str
    stages: tuple[str, ...]
    """Whose variants it may name; without a key, one of the first is taken where it is clear."""
    is_list: bool = False
    is_needed: bool = True
    is_place_too: bool = True
    """Whether it may be a directory that the project doesn't make"""


@dataclass(frozen=True)
class Section:
    """One kind of table of the file."""

    name: str
    kinds: tuple[type[Any], ...]
    """The dataclasses of its settings"""
    sources: tuple[Source, ...] = ()
    files: Mapping[str, bool] = field(default_factory=dict)
    """Keys that name files, and whether there has to be one"""

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """The settings by the key that gives each, hyphens and all."""
        return {
            key_of(setting.name): setting
            for kind in self.kinds
            for setting in settings_of(kind)
            if not (issubclass(kind, LabourSettings) and setting.name in _NOT_HERE)
        }

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every key that is known, in the order in which people think of them."""
        own = () if self.name == CORPUS else (OUTPUT,)
        return (*(each.key for each in self.sources), *self.files, *self.settings, *own)


_CORPUS = Source("corpus", (CORPUS,), is_place_too=False)
STAGES = {
    "vocab": Section("vocab", (VocabSettings, VocabHow), (_CORPUS,)),
    "shard": Section("shard", (InstanceSettings, ShardHow), (_CORPUS, Source("vocab", ("vocab",)))),
    "pretrain": Section(
        "pretrain",
        (
            *(ArchitectureSettings, PretrainSettings, NumericsSettings, ProcessNumerics),
            *(PretrainHow, TimeHow),
        ),
        (
            Source("shards", ("shard",), is_list=True),
            Source("init", ("pretrain",), is_needed=False),
        ),
        {"config": False},
    ),
    "finetune": Section(
        "finetune",
        (FinetuneSettings, NumericsSettings, FinetuneHow),
        (
            Source("model", ("pretrain", "finetune")),
            Source("vocab", ("vocab",), is_needed=False),
        ),
        {"train": True, "validation": False, "test": False},
    ),
}
SECTIONS = {
    CORPUS: Section(CORPUS, (CorpusSettings, SentenceSettings), (), {"input": True}),
    **STAGES,
}
TAKEN_FROM_CORPUS: Mapping[str, tuple[type[Any], ...]] = {
    "vocab": (CorpusSettings,),
    "shard": (CorpusSettings, SentenceSettings),
}
"""What of a corpus's settings a stage that reads it takes for its own"""


def key_of(name: str) -> str:
    """Return how a setting is written in the file: as its flag is, without the dashes before it."""
    return name.replace("_", "-")
