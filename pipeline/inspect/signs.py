"""Signs that a corpus isn't what its reader takes it for, each with what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles
from unicodedata import east_asian_width

from ..corpus.formats import format_of
from ..corpus.settings import CorpusSettings, SentenceSettings
from ..corpus.uris import without_options
from .languages import expected_scripts, first_language, letters_by_script, sounds_like

_ONE_SENTENCE_SHARE = 0.2
_DUPLICATE_SHARE = 0.05
_LARGEST_SHARE = 0.5
_INSIDE_SHARE = 0.5
_LEAST_LETTERS = 200
_SCRIPT_SHARE = 0.5
_LONG_SENTENCE, _LONG_SHARE = 1500, 0.2
"""Characters; more than three instances of 128 tokens hold."""

_FEWEST_LINES = 20
_WRAPPED_WIDTHS = (30, 140)
_NARROW, _FULL_SHARE, _OPEN_SHARE = 0.7, 0.6, 0.4
"""Of hard-wrapped lines most are nearly as wide as the widest and many end in mid-sentence."""
_ENDED = re.compile(r"[.!?…:;。！？｡：；][\"'”’»)\]」』）】]*$")


@dataclass(frozen=True)
class Sign:
    """What was seen, and what to do about it."""

    seen: str
    advice: str


@dataclass(frozen=True)
class Read:
    """A document that was read: `sentences` of its text, and whether only a part of it is here."""

    identity: int
    text: str
    sentences: tuple[str, ...]
    is_part: bool


def sign_of_mixture(paths: Sequence[str]) -> Sign | None:
    """Return a sign where plain text and records are read together, told by their names alone.

    Labelled rows beside a corpus are taken for text of it, and a test set would be trained on.
    """
    formats = [format_of(without_options(path)) for path in paths]
    counts = Counter(each.kind for each in formats if each is not None)
    text = counts.pop("text", 0)
    if not text or not counts:
        return None
    told = ", ".join(f"{count:,} .{kind}" for kind, count in counts.most_common())
    return Sign(
        f"Plain text and records are read together: {text:,} .txt and {told}.",
        "Are the records labelled rows? They would be trained on. Name the text alone.",
    )


def signs_of(
    documents: Sequence[Read],
    corpus: CorpusSettings,
    sentences: SentenceSettings,
    *,
    places: int,
    inside: int,
) -> Iterator[Sign]:
    """Yield what is odd; `inside` of the `places` looked at no document began within megabytes."""
    yield from _giant(documents, corpus, places, inside)
    whole = [each for each in documents if not each.is_part]
    if not documents:
        return
    wrapped = tuple(_wrapped(documents, corpus, sentences))
    yield from wrapped
    if not wrapped:
        yield from _one_sentence(whole)
    yield from _language([each.text for each in documents], sentences.language)
    yield from _duplicates(whole)
    yield from _long_sentences(documents, sentences)


def _giant(
    documents: Sequence[Read], corpus: CorpusSettings, places: int, inside: int
) -> Iterator[Sign]:
    sizes: Counter[int] = Counter()
    for each in documents:
        sizes[each.identity] += len(each.text)
    total = sum(sizes.values())
    largest = max(sizes.values(), default=0)
    parts = len({each.identity for each in documents if each.is_part})
    ends = "Documents end at a blank line: --documents line or file says otherwise."
    if corpus.unwrap:
        ends = "With --unwrap documents end at two blank lines; one ends a paragraph."
    elif corpus.documents == "file":
        ends = "With --documents file each file is one document."
    advice = f"{ends} A random B comes from other documents, and held-out ones are whole."
    if places > 1 and inside + parts > _INSIDE_SHARE * places:
        yield Sign("Documents go on for megabytes, at most of the places looked at.", advice)
    elif len(sizes) == 1:
        yield Sign("All of the text is a single document.", advice)
    elif total and largest > _LARGEST_SHARE * total:
        yield Sign(f"One document is {largest / total:.0%} of the text read here.", advice)


def _one_sentence(whole: Sequence[Read]) -> Iterator[Sign]:
    single = sum(len(each.sentences) == 1 for each in whole)
    if whole and single > _ONE_SENTENCE_SHARE * len(whole):
        yield Sign(
            f"{single:,} of {len(whole):,} documents are a single sentence: nothing follows it, so "
            "it can't be paired with its next.",
            "Is there a blank line after every sentence? --documents file takes each file as one "
            "document. --next-sentence none makes no pairs.",
        )


def _wrapped(
    documents: Sequence[Read], corpus: CorpusSettings, sentences: SentenceSettings
) -> Iterator[Sign]:
    if corpus.unwrap or corpus.documents == "line" or sentences.sentences == "line":
        return
    lines = [line for each in documents for line in each.text.split("\n")[:-1]]
    if len(lines) < _FEWEST_LINES:
        return
    widths = list(map(_width, lines))
    widest = quantiles(widths, n=20)[-1]
    low, high = _WRAPPED_WIDTHS
    full = sum(width >= _NARROW * widest for width in widths) / len(lines)
    still_open = sum(_ENDED.search(line) is None for line in lines) / len(lines)
    if low <= widest <= high and full >= _FULL_SHARE and still_open >= _OPEN_SHARE:
        yield Sign(
            f"Lines look hard-wrapped: {still_open:.0%} of them stop in mid-sentence, and most are "
            f"about {widest:.0f} columns wide.",
            "--unwrap joins them; a blank line then ends a paragraph, two end a document.",
        )


def _width(line: str) -> int:
    if line.isascii():
        return len(line)
    return len(line) + sum(east_asian_width(each) in "WF" for each in line)


def _language(texts: Sequence[str], language: str) -> Iterator[Sign]:
    letters = letters_by_script(texts)
    total = letters.total()
    if total < _LEAST_LETTERS:
        return
    expected = expected_scripts(language)
    share = sum(letters[script] for script in expected) / total
    if share < _SCRIPT_SHARE:
        script, count = letters.most_common(1)[0]
        guess = first_language(script)
        yield Sign(
            f"{count / total:.0%} of the letters are {script}, {share:.0%} what --language "
            f"{language} is written in.",
            f"--language {guess}, if that is the text's." if guess else "Give its --language.",
        )
    elif better := sounds_like(texts, language):
        yield Sign(
            f"The text sounds like {better}; --language is {language}.",
            f"--language {better} splits its sentences by its own rules.",
        )


def _duplicates(whole: Sequence[Read]) -> Iterator[Sign]:
    repeated = len(whole) - len({each.identity for each in whole})
    if whole and repeated > _DUPLICATE_SHARE * len(whole):
        yield Sign(
            f"{repeated:,} of {len(whole):,} documents repeat another one word by word.",
            "Each is learnt as often as it comes; leave repetitions out if that isn't meant.",
        )


def _long_sentences(documents: Sequence[Read], sentences: SentenceSettings) -> Iterator[Sign]:
    lengths = [len(sentence) for each in documents for sentence in each.sentences]
    long = sum(length for length in lengths if length > _LONG_SENTENCE)
    if long > _LONG_SHARE * max(sum(lengths), 1):
        yield Sign(
            f"{long / sum(lengths):.0%} of the text is in sentences of more than "
            f"{_LONG_SENTENCE:,} characters: few ends of sentences were found.",
            "Is it running text, and is --language right?"
            if sentences.sentences == "auto"
            else "--sentences auto finds sentences within lines.",
        )
