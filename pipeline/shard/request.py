"""What `bertctl shard` was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..corpus.settings import CorpusSettings, SentenceSettings
from .settings import InstanceSettings, ShardHow

STAGE = "shard"


@dataclass(frozen=True)
class ShardRequest:
    """Everything `bertctl shard` was asked for."""

    inputs: tuple[str, ...]
    vocab: Path
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    sentences: SentenceSettings = field(default_factory=SentenceSettings)
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    how: ShardHow = field(default_factory=ShardHow)
