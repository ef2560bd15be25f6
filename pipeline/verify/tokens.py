"""What a directory's vocabulary says of its tokens, read from its own files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]

_UNUSED = re.compile(r"\[unused[0-9]+\]")


@dataclass(frozen=True)
class Tokens:
    """V tokens; `is_word`: (V,) may stand for a random word; `continues`: (V,) a `##` piece."""

    texts: tuple[str, ...]
    is_word: Flags
    continues: Flags
    cls_id: int
    sep_id: int
    mask_id: int
    unk_id: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_text(self) -> Flags:
        """(V,) what text can become: a word, or `[UNK]`."""
        flags = self.is_word.copy()
        flags[self.unk_id] = True
        return flags


def read_tokens(directory: Path) -> Tokens:
    """Read `vocab.txt` and the special tokens beside it."""
    text = (directory / "vocab.txt").read_text(encoding="utf-8")
    texts = tuple(text.removesuffix("\n").split("\n"))
    named = json.loads((directory / "special_tokens_map.json").read_text(encoding="utf-8"))
    special = set(named.get("additional_special_tokens", ()))
    special |= {token for token in named.values() if isinstance(token, str)}
    continues = np.array([each.startswith("##") for each in texts])
    is_special = np.array([each in special for each in texts])
    unused = np.array([_UNUSED.fullmatch(each) is not None for each in texts])
    ids = {token: number for number, token in enumerate(texts)}
    return Tokens(
        texts=texts,
        is_word=~is_special & ~unused,
        continues=continues & ~is_special,
        **{f"{name}_id": ids[named[f"{name}_token"]] for name in ("cls", "sep", "mask", "unk")},
    )
