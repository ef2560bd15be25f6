"""A vocabulary in, what it consists of out, and how it cuts a text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..vocab.opening import open_vocabulary
from ..vocab.scripts import script_of
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.vocabulary import CONTINUATION

_LONGEST = 10
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class VocabularyLook:
    """What a vocabulary holds; `pieces` are those of the text, None where none was given.

    `characters`: how many single characters of each script are tokens, most first.
    `unknown_characters`: of the text, by script, those that are no token.
    """

    tokens: int
    special_tokens: tuple[str, ...]
    unused: int
    continuing: int
    lowercase: bool
    characters: dict[str, int]
    longest: tuple[str, ...]
    pieces: tuple[str, ...] | None
    unknown_characters: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the look as it stands in a JSON object."""
        return asdict(self)


def look_at_vocabulary(path: Path, text: str | None) -> VocabularyLook:
    """Look at a directory of ours, a Hugging Face BERT directory or a vocab.txt.

    Raises:
        BadInput: it can't be used.
    """
    vocabulary, normalization = open_vocabulary(path)
    words = [vocabulary.tokens[each] for each in vocabulary.replaceable_ids]
    bare = [each.removeprefix(CONTINUATION) for each in words]
    scripts = Counter(script_of(each) for each in {each for each in bare if len(each) == 1})
    encoder = WordPieceEncoder(vocabulary, normalization)
    pieces = None
    if text is not None:
        pieces = tuple(vocabulary.tokens[each] for each in encoder.encode_text(text).tolist())
    return VocabularyLook(
        tokens=len(vocabulary),
        special_tokens=vocabulary.special_tokens,
        unused=sum(_UNUSED.fullmatch(each) is not None for each in vocabulary.tokens),
        continuing=int(vocabulary.is_continuation.sum()),
        lowercase=normalization.lowercase,
        characters=dict(scripts.most_common()),
        longest=tuple(sorted(bare, key=lambda each: (-len(each), each))[:_LONGEST]),
        pieces=pieces,
        unknown_characters=_unknown(text or "", encoder, set(bare)),
    )


def _unknown(text: str, encoder: WordPieceEncoder, known: set[str]) -> dict[str, str]:
    """Return the characters that are unknown by themselves and no piece inside a word either."""
    characters = [each for each in dict.fromkeys(text) if not each.isspace()]
    by_script: dict[str, str] = {}
    for character in characters:
        is_unknown = encoder.vocabulary.unk_id in encoder.encode_text(character)
        if is_unknown and known.isdisjoint((character, character.lower())):
            script = script_of(character)
            by_script[script] = by_script.get(script, "") + character
    return by_script
