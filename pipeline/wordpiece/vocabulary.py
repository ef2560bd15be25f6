"""A vocabulary and the normalisation it was made for: values, with no file and no tokenizer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import BadInput

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"
MAX_WORD_CHARACTERS = 100
"""A longer word is `[UNK]` whole (google-research/bert, WordpieceTokenizer)."""

_UNUSED = re.compile(r"\[unused\d+\]")
# Ordinary text can't hold such a token: to BERT an ASCII punctuation mark is a word of its own.
_SPECIAL = re.compile(r"(?!##)[!-/:-@\[-`{-~]\S+")


@dataclass(frozen=True)
class Normalization:
    """What happens to text before it is cut into words (google-research/bert, BasicTokenizer)."""

    lowercase: bool = True
    strip_accents: bool | None = None
    """None follows `lowercase`, as in BERT."""
    tokenize_chinese_chars: bool = True
    """Whether each CJK character is a word; only some models for other scripts say no."""


@dataclass(frozen=True)
class Vocabulary:
    """WordPiece tokens in the order of their ids.

    They are distinct, none holds a line end or a lone surrogate, and all of `SPECIAL_TOKENS` and
    `extra_special_tokens` are among them: who makes a vocabulary of a user's input has checked
    that.
    """

    tokens: tuple[str, ...]
    extra_special_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.tokens), "tokens are distinct"
        assert not any("\n" in token for token in self.tokens), "none holds a line end"
        assert self.ids.keys() >= {*SPECIAL_TOKENS, *self.extra_special_tokens}

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: id for id, token in enumerate(self.tokens)}

    @property
    def pad_id(self) -> int:
        """The id of `[PAD]`."""
        return self.ids[PAD]

    @property
    def unk_id(self) -> int:
        """The id of `[UNK]`."""
        return self.ids[UNK]

    @property
    def cls_id(self) -> int:
        """The id of `[CLS]`."""
        return self.ids[CLS]

    @property
    def sep_id(self) -> int:
        """The id of `[SEP]`."""
        return self.ids[SEP]

    @property
    def mask_id(self) -> int:
        """The id of `[MASK]`."""
        return self.ids[MASK]

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """BERT's five, then the user's own."""
        return (*SPECIAL_TOKENS, *self.extra_special_tokens)

    @property
    def id_dtype(self) -> np.dtype[np.unsignedinteger]:
        """The dtype token ids are kept in: uint16, or uint32 above 65,536 tokens."""
        return np.dtype(np.uint16 if len(self) <= 1 << 16 else np.uint32)

    @cached_property
    def is_continuation(self) -> npt.NDArray[np.bool_]:
        """(V,) bool: whether the token continues a word (`##ing`)."""
        continues = np.array([each.startswith(CONTINUATION) for each in self.tokens], bool)
        continues[[self.ids[each] for each in self.special_tokens]] = False
        return continues

    @cached_property
    def replaceable_ids(self) -> npt.NDArray[np.unsignedinteger]:
        """Ascending ids that may stand for a random word: neither special nor `[unusedN]`."""
        replaceable = np.array([not each.startswith("[unused") for each in self.tokens], bool)
        for id in np.flatnonzero(~replaceable).tolist():
            replaceable[id] = not _UNUSED.fullmatch(self.tokens[id])
        replaceable[[self.ids[each] for each in self.special_tokens]] = False
        return np.flatnonzero(replaceable).astype(self.id_dtype)

    def fingerprint(self, normalization: Normalization) -> str:
        """Digest all that decides which ids a text gets: SHA-256, 64 hexadecimal digits."""
        content = [self.tokens, self.extra_special_tokens, asdict(normalization)]
        canonical = json.dumps(content, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def check_special_tokens(extra_special_tokens: Sequence[str]) -> None:
    """Raise `BadInput` for a special token of the user's that is doubled or could be text."""
    seen: set[str] = set(SPECIAL_TOKENS)
    for token in extra_special_tokens:
        if token in seen:
            raise BadInput(
                f"The special token {token!r} is given twice, or is one of BERT's own.",
                hint=f"Leave it out: {', '.join(SPECIAL_TOKENS)} are always there.",
            )
        if not _SPECIAL.fullmatch(token) or _UNUSED.fullmatch(token):
            raise BadInput(
                f"{token!r} can't be a special token: ordinary text could hold it.",
                hint="Open it with a punctuation mark other than ## and leave out spaces: [NAME].",
            )
        seen.add(token)
