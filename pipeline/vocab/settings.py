"""The settings of `bertctl vocab`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class VocabSettings:
    """*What*: which vocabulary is learnt."""

    vocab_size: int = setting(30_522, "Tokens in the vocabulary, special ones included.", minimum=6)
    min_frequency: int = setting(2, "Least count of a pair that becomes a piece.", minimum=1)
    limit_alphabet: int | Literal["auto"] = setting(
        "auto", "Most characters; auto covers 99.95 % of the text.", minimum=1
    )
    lowercase: bool = setting(True, "Lower-case the text.")
    strip_accents: bool | None = setting(None, "Take accents off; as --lowercase if not given.")
    unused_tokens: int = setting(0, "[unused0], [unused1], … to keep free.", minimum=0)
    special_token: tuple[str, ...] = setting((), "A special token of your own; may be repeated.")


@dataclass(frozen=True)
class VocabHow:
    """*How*: none of these changes a byte."""

    workers: int | Literal["auto"] = setting(
        "auto", "Processes that work; auto takes every processor.", minimum=1
    )
    chunk_megabytes: float = setting(
        8.0, "Text in one unit of work: what a kill can cost a worker.", minimum=0.000001
    )
