"""The settings of `bertctl vocab`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.labour import LabourSettings
from ..stage.settings import setting

STAGE = "vocab"


@dataclass(frozen=True)
class VocabSettings:
    """*What*: which vocabulary is learnt."""

    vocab_size: int = setting(30_522, "Tokens in the vocabulary, special ones included.", minimum=6)
    algorithm: Literal["bpe", "wordpiece"] = setting(
        "bpe",
        "Which pair of pieces is merged next: the commonest, as all that is called WordPiece today "
        "is trained, or, as in the original, the one that is least often apart.",
    )
    min_frequency: int = setting(2, "Least count of a pair that is merged.", minimum=1)
    limit_alphabet: int | Literal["auto"] = setting(
        "auto",
        "Most different characters; auto takes the commonest that make up 99.95 % of the text. A "
        "word with any other is unknown.",
        minimum=1,
    )
    lowercase: bool = setting(True, "Lower-case the text.")
    strip_accents: bool | None = setting(None, "Take accents off; as --lowercase if not given.")
    unused_tokens: int = setting(
        0, "[unused0], [unused1], …: how many to keep free for later.", minimum=0
    )
    special_token: tuple[str, ...] = setting(
        (), "A special token of your own, such as [NAME]; may be repeated."
    )


@dataclass(frozen=True)
class VocabHow(LabourSettings):
    """*How*: none of these changes a byte."""

    compare: str | None = setting(
        None,
        "Show how another vocabulary does on the same held-out text: one of bertctl's, a Hugging "
        "Face BERT directory or a vocab.txt.",
    )
    scratch: str | None = setting(
        None,
        "Directory where an output that goes elsewhere is made; its copy there stays.",
        is_place=True,
    )
