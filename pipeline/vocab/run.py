"""One vocabulary run: words counted, pieces merged, the result tried on text held out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..corpus.documents import Document
from ..corpus.piecewise import CorpusPass, pass_over
from ..randomness import mixed
from ..stage.engine import Finished, Site
from ..stage.files import fingerprint_of
from ..stage.units import WORK, Unit, UnitBuilder
from ..stage.workers import available_workers
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.files import TOKENIZER_FILES, write_tokenizer_files
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .counting import WordCounts, count_words, merge_counts, read_counts, write_counts
from .merging import train_wordpiece
from .stage import VocabRequest

_HELD_OUT_SHARE = 1 / 100
_FEWEST_DOCUMENTS = 200
"""Of fewer, none is held out: one of a hundred might be the book that matters."""
_TRAINING, _HELD_OUT = "training", "held-out"


@dataclass(frozen=True)
class Count:
    """Makes the unit of a piece: how often each word comes, in training and in held-out text."""

    normalization: Normalization

    def __call__(
        self, documents: Sequence[Document], builder: UnitBuilder, name: str
    ) -> dict[str, int]:
        """Write two tables of counted words; return how many words were counted."""
        identities = np.array([each.identity for each in documents], np.uint64)
        held_out = mixed(identities, 0, "held out") < np.uint64(_HELD_OUT_SHARE * 2**64)
        # A document so long that it comes in parts could be most of the text.
        held_out &= np.array([each.part == 0 for each in documents], bool)
        counted = {}
        for side, chosen in ((_TRAINING, ~held_out), (_HELD_OUT, held_out)):
            text = "\n".join(documents[row].text for row in np.flatnonzero(chosen).tolist())
            counts = count_words(text.encode(), self.normalization)
            write_counts(builder.path(_count_file(side, name)), counts)
            counted[f"{side} words"] = counts.total
        return counted


def run(site: Site, request: VocabRequest) -> Finished:
    """Count the corpus, learn the vocabulary, measure it, write it."""
    how, settings = request.how, request.vocab
    normalization = Normalization(settings.lowercase, settings.strip_accents)
    corpus = pass_over(
        site,
        request.corpus,
        Count(normalization),
        phase="count words",
        made_from=fingerprint_of([settings.lowercase, settings.strip_accents]),
        chunk_bytes=int(how.chunk_megabytes * 1e6),
        workers=available_workers() if how.workers == "auto" else how.workers,
    )
    training, held_out = (_total(site, corpus, side) for side in (_TRAINING, _HELD_OUT))
    if corpus.total("num_documents") < _FEWEST_DOCUMENTS:
        training, held_out = merge_counts([training, held_out]), merge_counts([])
    with site.reporter.phase("merge pieces", total=None, unit="pieces") as progress:
        tokens = train_wordpiece(
            training,
            vocab_size=settings.vocab_size,
            min_frequency=settings.min_frequency,
            limit_alphabet=settings.limit_alphabet,
            special_tokens=settings.special_token,
            unused_tokens=settings.unused_tokens,
        )
        progress.advance(len(tokens))
    if len(tokens) < settings.vocab_size:
        site.reporter.warn(
            f"The text gives {len(tokens):,} tokens, not {settings.vocab_size:,}: no further pair "
            f"of pieces comes {settings.min_frequency} times. More text gives more."
        )
    vocabulary = Vocabulary(tuple(tokens), settings.special_token)
    unit = _write(site, vocabulary, normalization)
    return Finished(
        files=unit.files,
        contents=corpus.contents,
        statistics={
            "vocab_size": len(tokens),
            "documents": corpus.total("num_documents"),
            "text_bytes": corpus.total("text_bytes"),
            "num_skipped": corpus.total("num_skipped"),
            "words": training.total,
            "distinct_words": len(training),
            "held_out": measure(vocabulary, normalization, held_out),
        },
    )


def measure(
    vocabulary: Vocabulary, normalization: Normalization, counts: WordCounts
) -> dict[str, Any] | None:
    """Return how a vocabulary does on counted words; None where there are none.

    `fertility`: pieces per word; `unknown_rate`: share of the words that are [UNK];
    `coverage`: share of the characters that stand in a known word.
    """
    if not len(counts):
        return None
    encoder = WordPieceEncoder(vocabulary, normalization)
    words = counts.words.to_pylist()
    ids, ends = encoder.encode_texts(words)
    pieces = np.diff(ends, prepend=0)
    unknown = np.add.reduceat(ids == vocabulary.unk_id, ends - pieces) > 0
    often = counts.counts.to_numpy()
    characters = often * np.array([len(word) for word in words])
    return {
        "words": int(often.sum()),
        "fertility": float((pieces * often).sum() / often.sum()),
        "unknown_rate": float(often[unknown].sum() / often.sum()),
        "coverage": float(1 - characters[unknown].sum() / characters.sum()),
    }


def _total(site: Site, corpus: CorpusPass, side: str) -> WordCounts:
    return merge_counts(
        read_counts(site.directory / _count_file(side, unit.name)) for unit in corpus.pieces
    )


def _count_file(side: str, name: str) -> str:
    return f"{WORK}/{side}/{name}.arrow"


def _write(site: Site, vocabulary: Vocabulary, normalization: Normalization) -> Unit:
    def make(builder: UnitBuilder) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=site.units.work) as directory:
            write_tokenizer_files(vocabulary, normalization, Path(directory))
            for name in TOKENIZER_FILES:
                shutil.move(Path(directory, name), builder.path(name))
        return {}

    return site.units.build("vocabulary", vocabulary.fingerprint(normalization), make)
