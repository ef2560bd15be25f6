"""How a vocabulary does on counted words: into how many pieces it cuts them, which it can't."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .lesson import spell
from .scripts import scripts_of
from .tables import WordCounts

Totals = npt.NDArray[np.int64]

_WORDS = 0
"""Where the number of words stands; then pieces, unknown words, characters, and those in them."""

AS_WRITTEN = Normalization(lowercase=False, strip_accents=False)
"""How words to measure on are counted: any vocabulary's own normalisation can follow, inside each
word, and all vocabularies are measured on the same words."""


def measure(
    vocabulary: Vocabulary, normalization: Normalization, counted: Iterable[WordCounts]
) -> dict[str, Any] | None:
    """Return how a vocabulary does on words counted `AS_WRITTEN`; None where there are none.

    `fertility`: pieces per word; `unknown_rate`: share of the words that are [UNK] or hold one;
    `coverage`: share of the characters that stand in a known word. The same of the words of each
    script, the commonest script first, is under `scripts`.
    """
    encoder = WordPieceEncoder(vocabulary, normalization)
    totals: defaultdict[str, Totals] = defaultdict(lambda: np.zeros(5, np.int64))
    for words in counted:
        spelled = spell(words)
        scripts, script = scripts_of(spelled)
        ids, ends = encoder.encode_texts(words.words.to_pylist())
        unknown_up_to = np.concatenate(([0], np.cumsum(ids == vocabulary.unk_id)))[ends]
        is_unknown = np.diff(unknown_up_to, prepend=0) > 0
        counts, lengths = spelled.counts, spelled.lengths
        figures = np.stack(
            (
                counts,
                counts * np.diff(ends, prepend=0),
                counts * is_unknown,
                counts * lengths,
                counts * lengths * is_unknown,
            )
        )
        for number, name in enumerate(scripts):
            totals[name] += figures[:, script == number].sum(axis=1)
    return _told(totals) if totals else None


def _told(totals: dict[str, Totals]) -> dict[str, Any]:
    scripts = sorted(totals, key=lambda name: (-totals[name][_WORDS], name))
    return {
        **_figures(sum(totals.values(), np.zeros(5, np.int64))),
        "scripts": {name: _figures(totals[name]) for name in scripts if totals[name][_WORDS]},
    }


def _figures(totals: Totals) -> dict[str, float]:
    words, pieces, unknown_words, characters, unknown_characters = totals.tolist()
    return {
        "words": words,
        "fertility": pieces / words,
        "unknown_rate": unknown_words / words,
        "coverage": 1 - unknown_characters / characters,
    }
