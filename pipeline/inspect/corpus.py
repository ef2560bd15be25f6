"""A corpus in, its documents and sentences out as `shard` will see them, and what looks wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from statistics import fmean, median
from typing import Any

from ..corpus.listing import list_inputs
from ..corpus.sentences import split_sentences
from ..corpus.settings import CorpusSettings, SentenceSettings, check_corpus_settings
from ..stage.report import Reporter
from .sampling import Place, sample_corpus
from .settings import InspectHow
from .signs import Read, Sign, sign_of_mixture, signs_of


@dataclass(frozen=True)
class ShownDocument:
    """A document as its sentences; `is_part` where it goes on, or began before."""

    file: str
    sentences: tuple[str, ...]
    is_part: bool


@dataclass(frozen=True)
class CorpusLook:
    """What was found: all of it where `is_whole`, else in `text_bytes` from several `places`.

    `estimated_documents` is for the whole corpus; `median_sentences` is of documents that were read
    from beginning to end, None where there is none.
    """

    files: int
    file_bytes: int
    places: int
    is_whole: bool
    text_bytes: int
    documents: int
    estimated_documents: int
    sentences: int
    median_sentences: float | None
    one_sentence_documents: int
    mean_sentence_characters: float
    signs: tuple[Sign, ...]
    shown: tuple[ShownDocument, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the look as it stands in a JSON object."""
        return asdict(self)


def look_at_corpus(
    inputs: Sequence[str],
    corpus: CorpusSettings,
    sentences: SentenceSettings,
    how: InspectHow,
    *,
    reporter: Reporter,
) -> CorpusLook:
    """Read a bounded part of a corpus, whatever its size.

    Raises:
        BadInput: the inputs name nothing that can be read, or a setting can't be used.
    """
    check_corpus_settings(corpus, sentences)
    files = list_inputs(inputs, on_bad_input="skip")
    places: list[Place] = []
    with reporter.phase("look", total=None, unit="documents") as progress:
        for place in sample_corpus(files, corpus, seed=how.seed):
            places.append(place)
            progress.advance(len(place.documents))
    read = [
        [_read(place, number, sentences) for number in range(len(place.documents))]
        for place in places
    ]
    documents = [each for some in read for each in some]
    whole = [each for each in documents if not each.is_part]
    is_whole = all(place.is_end and place.start == 0 for place in places) and (
        len(places) == len(files) or corpus.max_documents is not None
    )
    file_bytes = sum(file.size for file in files)
    counts = [len(each.sentences) for each in whole]
    inside = sum(place.is_inside for place in places)
    lengths = [len(sentence) for each in documents for sentence in each.sentences]
    mixture = sign_of_mixture([file.path for file in files])
    return CorpusLook(
        files=len(files),
        file_bytes=file_bytes,
        places=len(places),
        is_whole=is_whole,
        text_bytes=sum(len(each.text.encode()) for each in documents),
        documents=len({each.identity for each in documents if each.is_part}) + len(whole),
        estimated_documents=_estimate(places, len(whole), file_bytes, is_whole=is_whole),
        sentences=len(lengths),
        median_sentences=median(counts) if counts else None,
        one_sentence_documents=sum(count == 1 for count in counts),
        mean_sentence_characters=fmean(lengths) if lengths else 0,
        signs=(
            *([mixture] if mixture else []),
            *_bad_input(places, corpus),
            *signs_of(documents, corpus, sentences, places=len(places), inside=inside),
        ),
        shown=tuple(_shown(places, read, how.number)),
    )


def _read(place: Place, number: int, settings: SentenceSettings) -> Read:
    document = place.documents[number]
    others = (place.documents[number - 1 : number] if number else ()) + place.documents[
        number + 1 : number + 2
    ]
    is_part = document.part > 0 or any(
        each.identity == document.identity and each.part > 0 for each in others
    )
    sentences = tuple(split_sentences(document.text, settings))
    return Read(document.identity, document.text, sentences, is_part)


def _estimate(places: Sequence[Place], whole: int, file_bytes: int, *, is_whole: bool) -> int:
    if is_whole:
        return whole
    read = sum(place.source_bytes for place in places)
    return round(whole * file_bytes / read) if read else 0


def _bad_input(places: Sequence[Place], corpus: CorpusSettings) -> list[Sign]:
    skipped = sum(place.num_skipped for place in places)
    if not skipped:
        return []
    first = next(each for place in places for each in place.skipped)
    left_out = corpus.on_bad_input == "skip"
    return [
        Sign(
            f"{skipped:,} bad input(s), the first: {first}.",
            "They will be left out, as --on-bad-input skip says."
            if left_out
            else "`shard` and `vocab` stop there; mend it, or give --on-bad-input skip.",
        )
    ]


def _shown(
    places: Sequence[Place], read: Sequence[Sequence[Read]], number: int
) -> list[ShownDocument]:
    """Return the first documents of the first places, then the second ones, and so on."""
    turns = zip_longest(
        *([(place, each) for each in some] for place, some in zip(places, read, strict=True))
    )
    some = (each for turn in turns for each in turn if each is not None)
    return [
        ShownDocument(place.file.path, each.sentences, each.is_part)
        for (place, each), _ in zip(some, range(number), strict=False)
    ]
