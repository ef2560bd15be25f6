"""Which scripts a language is written in, and which of a few languages a text sounds like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ..corpus.settings import language_code
from ..vocab.scripts import COMMON, script_of

_LANGUAGES = {
    "Han": "zh ja yue wuu ko",
    "Hiragana": "ja",
    "Katakana": "ja",
    "Hangul": "ko",
    "Cyrillic": "ru uk be bg mk sr kk ky tg tt ba ce cv mn os uz az",
    "Greek": "el",
    "Hebrew": "he yi",
    "Arabic": "ar fa ur ps sd ug ckb ks ku az kk ms",
    "Devanagari": "hi mr ne sa mai bho ks sd",
    "Bengali": "bn as",
    "Gurmukhi": "pa",
    "Gujarati": "gu",
    "Oriya": "or",
    "Tamil": "ta",
    "Telugu": "te",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Sinhala": "si",
    "Thai": "th",
    "Lao": "lo",
    "Khmer": "km",
    "Myanmar": "my",
    "Tibetan": "bo dz",
    "Georgian": "ka",
    "Armenian": "hy",
    "Ethiopic": "am ti",
    "Latin": "az uz sr ku ms tt mn",
}
"""Script → languages, the one to guess first. A language that is nowhere is written in Latin."""

_FUNCTION_WORDS = {
    "en": "the of and to is that was for with this",
    "de": "der die und das ist nicht mit den von ein",
    "fr": "le les des et est une dans que pour qui",
    "es": "el los las una por con para del como más",
    "it": "il di che gli della per non sono una anche",
    "pt": "o os uma não com para dos são como mais",
    "nl": "de het een van en dat niet zijn voor met",
    "pl": "w na się nie do jest że i z oraz",
    "sv": "och att det som är en för inte av på",
    "tr": "ve bir bu için ile olarak da çok daha olan",
}
"""The commonest words of languages in Latin script."""
_WORD = re.compile(r"[^\W\d_]+")
_SURE_SHARE = 0.08
"""Of the words of running text at least twice as many are among its language's ten commonest."""


def expected_scripts(language: str) -> set[str]:
    """Return the scripts a language is written in."""
    base = language_code(language).split("-")[0]
    return {script for script, some in _LANGUAGES.items() if base in some.split()} or {"Latin"}


def letters_by_script(texts: Iterable[str]) -> Counter[str]:
    """Count the letters of each script."""
    characters: Counter[str] = Counter()
    for text in texts:
        characters.update(text)
    counted: Counter[str] = Counter()
    for character, count in characters.items():
        counted[script_of(character)] += count
    del counted[COMMON]
    return counted


def first_language(script: str) -> str:
    """Return the language that a script is most likely of."""
    return _LANGUAGES.get(script, "").split(" ")[0] if script != "Latin" else "en"


def sounds_like(texts: Iterable[str], language: str) -> str | None:
    """Return the language whose commonest words come far oftener than those of `language`.

    None where that one is among the best, isn't known, or nothing is sure.
    """
    base = language_code(language).split("-")[0]
    if base not in _FUNCTION_WORDS:
        return None
    words = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    total = max(sum(words.values()), 1)
    shares = {
        name: sum(words[each] for each in some.split()) / total
        for name, some in _FUNCTION_WORDS.items()
    }
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= max(_SURE_SHARE, 2 * shares[base]) else None
