"""Which script a word is written in: Latin, Han, Cyrillic …, told from its characters' names."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .lesson import Spelled

COMMON = "Common"
"""Digits, punctuation, symbols: what all scripts share (Unicode Standard Annex 24)."""

_FORMS = {"FULLWIDTH", "HALFWIDTH"}
_HAN = {"CJK", "IDEOGRAPHIC"}
_TWO_WORDS = {"CANADIAN", "KHITAN", "LINEAR", "MEETEI", "NEW", "OL", "OLD", "TAI"}
# What the names of letters begin with that are used as symbols, or that several scripts share.
_SHARED = set(
    """ALEF ANGSTROM BET BLACK-LETTER CARON DALET DOUBLE-STRUCK EULER FEMININE GIMEL INFORMATION
    KATAKANA-HIRAGANA KELVIN MASCULINE MASU MATHEMATICAL MICRO MODIFIER OHM PLANCK ROMAN SCRIPT
    SUPERSCRIPT TURNED VEDIC VERTICAL""".split()
)


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """Return the script of a character, by the first word of its Unicode name.

    The name of a letter begins with its script's. What isn't a letter is `COMMON`, and so is a
    letter that is rather a symbol.
    """
    name = unicodedata.name(character, "").split()
    if not unicodedata.category(character).startswith("L") or not name:
        return COMMON
    first, *rest = name[1:] if name[0] in _FORMS else name
    if first in _SHARED:
        return COMMON
    if first in _HAN:
        return "Han"
    return f"{first} {rest[0]}".title() if first in _TWO_WORDS else first.title()


def scripts_of(words: Spelled) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the scripts there are, and (W,) which of them each word is in.

    A word is in the script of its first character that isn't `COMMON`.
    """
    characters, which = np.unique(words.code_points, return_inverse=True)
    of_character = [script_of(chr(each)) for each in characters.tolist()]
    scripts = sorted({COMMON, *of_character}, key=lambda each: (each == COMMON, each))
    index = {script: number for number, script in enumerate(scripts)}
    numbers = np.array([index[script] for script in of_character], np.int64)[which]
    # The first of a word that isn't the last script, COMMON; else that.
    places = np.where(numbers < len(scripts) - 1, np.arange(len(numbers)), len(numbers))
    firsts = np.minimum.reduceat(places, words.starts) if len(words.lengths) else words.starts
    return scripts, np.append(numbers, len(scripts) - 1)[firsts]
