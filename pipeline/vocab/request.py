"""What `bertctl vocab` was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..corpus.settings import CorpusSettings
from .settings import VocabHow, VocabSettings

HELD_OUT_FILE = "held_out.arrow"
"""The words of the held-out text as they are written there, and how often each comes."""


@dataclass(frozen=True)
class VocabRequest:
    """Everything `bertctl vocab` was asked for."""

    inputs: tuple[str, ...]
    vocab: VocabSettings = field(default_factory=VocabSettings)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    how: VocabHow = field(default_factory=VocabHow)
