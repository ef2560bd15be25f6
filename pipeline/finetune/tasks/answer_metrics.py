"""How well an answer is found: SQuAD's measures over words, CMRC's over Chinese characters."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Literal

from .metrics import f1

Metric = Literal["words", "characters"]
Scores = tuple[float, float]
"""Exact match (0 or 1) and F1"""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
"""Its program's list, whose ellipsis is two characters and so never met"""
_HAN_OR_WORD = re.compile(
    r"[\u4e00-\u9fa5]|[^\W\u4e00-\u9fa5]+(?:['.,][^\W\u4e00-\u9fa5]+)*|[^\w\s]"
)


def best_scores(prediction: str, answers: Sequence[str], metric: Metric) -> Scores:
    """Return the best exact match and the best F1 over several right answers.

    No answer at all means that the empty prediction is right.
    """
    if not answers:
        is_right = float(not prediction)
        return is_right, is_right
    score = _MEASURES[metric]
    several = [score(prediction, each) for each in answers]
    return max(exact for exact, _ in several), max(part for _, part in several)


def squad_scores(prediction: str, answer: str) -> Scores:
    """Compare as the evaluation of SQuAD does (Rajpurkar et al. 2016, 2018).

    Case, punctuation, articles and spaces don't count; F1 is over words, each as often as it
    stands there.
    """
    said, true = squad_words(prediction), squad_words(answer)
    if not said or not true:
        return float(said == true), float(said == true)
    both = (Counter(said) & Counter(true)).total()
    return float(said == true), f1(both, len(said), len(true))


def squad_words(text: str) -> list[str]:
    """Return the words of a text that count."""
    return _ARTICLES.sub(" ", text.lower().translate(_ASCII_PUNCTUATION)).split()


def cmrc_scores(prediction: str, answer: str) -> Scores:
    """Compare as the evaluation of CMRC 2018 does (Cui et al. 2019).

    Exact matches are of all characters but punctuation; F1 is over the longest run of Chinese
    characters and other words that both have in common.
    """
    said, true = cmrc_units(prediction), cmrc_units(answer)
    exact = float(_without_punctuation(prediction) == _without_punctuation(answer))
    matcher = SequenceMatcher(None, said, true, autojunk=False)
    common = matcher.find_longest_match(0, len(said), 0, len(true)).size
    return exact, f1(common, len(said), len(true))


def cmrc_units(text: str) -> list[str]:
    """Return a text's Chinese characters and its other words, without punctuation."""
    return _HAN_OR_WORD.findall(_without_punctuation(text))


def _without_punctuation(text: str) -> str:
    return "".join(each for each in text.lower().strip() if each not in _CMRC_PUNCTUATION)


_MEASURES: dict[Metric, Callable[[str, str], Scores]] = {
    "words": squad_scores,
    "characters": cmrc_scores,
}
