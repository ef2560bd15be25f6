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
from ..corpus.piecewise import pass_over
from ..randomness import mixed
from ..stage.engine import Finished, Site
from ..stage.files import fingerprint_of
from ..stage.units import WORK, Unit, UnitBuilder
from ..wordpiece.files import TOKENIZER_FILES, write_tokenizer_files
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .counting import count_words
from .lesson import Lesson, choose_words
from .measuring import AS_WRITTEN, measure
from .merging import train_wordpiece
from .request import HELD_OUT_FILE, VocabRequest
from .settings import VocabSettings
from .tables import Table, system_memory, write_table
from .totals import add_up

_HELD_OUT_SHARE = 1 / 100
_FEWEST_DOCUMENTS = 200
"""Of fewer, none is held out: one of a hundred might be the book that matters."""
_TRAINING, _SPARED, _HELD_OUT = "training", "spared", "held-out"
"""Words to learn from, those to learn from only if nothing is held out, and those to measure on."""


@dataclass(frozen=True)
class Count:
    """Makes the unit of a piece: how often each word comes, in training and in held-out text."""

    normalization: Normalization

    def __call__(
        self, documents: Sequence[Document], builder: UnitBuilder, name: str
    ) -> dict[str, int]:
        """Write the tables of counted words."""
        identities = np.array([each.identity for each in documents], np.uint64)
        held_out = mixed(identities, 0, "held out") < np.uint64(_HELD_OUT_SHARE * 2**64)
        # A document so long that it comes in parts could be most of the text.
        held_out &= np.array([each.part == 0 for each in documents], bool)
        for side, chosen, normalization in (
            (_TRAINING, ~held_out, self.normalization),
            (_SPARED, held_out, self.normalization),
            (_HELD_OUT, held_out, AS_WRITTEN),
        ):
            texts = (documents[row].data for row in np.flatnonzero(chosen).tolist())
            path = builder.path(f"{WORK}/{side}/{name}.arrow")
            write_table(path, [count_words(texts, normalization)])
        return {}


@system_memory()
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
    )
    is_held_out = corpus.total("num_documents") >= _FEWEST_DOCUMENTS
    if not is_held_out:
        site.reporter.notice(
            f"Of fewer than {_FEWEST_DOCUMENTS} documents none is held out to measure on."
        )
    sides = (_TRAINING,) if is_held_out else (_TRAINING, _SPARED)
    training = add_up(site, corpus.pieces, _TRAINING, sides)
    site.labour.leave_the_rest()
    (training_file,) = training.files
    lesson = choose_words(Table(site.directory / training_file), settings.limit_alphabet)
    _tell_of_words_left_out(site, lesson, training)
    tokens = _train(site, lesson, settings)
    vocabulary = Vocabulary(tuple(tokens), settings.special_token)
    site.make_room()
    held_out = add_up(
        site,
        corpus.pieces if is_held_out else (),
        _HELD_OUT,
        (_HELD_OUT,),
        output=HELD_OUT_FILE,
    )
    unit = _write(site, vocabulary, normalization)
    return Finished(
        files={**unit.files, **held_out.files},
        contents=corpus.contents,
        statistics={
            "vocab_size": len(tokens),
            "alphabet": len(lesson.alphabet),
            "documents": corpus.total("num_documents"),
            "text_bytes": corpus.total("text_bytes"),
            "num_skipped": corpus.total("num_skipped"),
            **training.result,
            "words_learnt_from": int(lesson.words.counts.sum()),
            "distinct_words_learnt_from": len(lesson.words.counts),
            "held_out": measure(vocabulary, normalization, Table(site.directory / HELD_OUT_FILE)),
        },
    )


def _tell_of_words_left_out(site: Site, lesson: Lesson, training: Unit) -> None:
    if not lesson.is_whole:
        share = lesson.words.counts.sum() / training.result["words"]
        site.reporter.notice(
            f"Of {training.result['distinct_words']:,} different words the "
            f"{len(lesson.words.counts):,} that come most often are learnt from, {share:.1%} of "
            "the text: as many as are kept in memory."
        )


def _train(site: Site, lesson: Lesson, settings: VocabSettings) -> list[str]:
    with site.reporter.phase("merge pieces", total=None, unit="pieces") as progress:
        tokens = train_wordpiece(
            lesson,
            vocab_size=settings.vocab_size,
            min_frequency=settings.min_frequency,
            algorithm=settings.algorithm,
            special_tokens=settings.special_token,
            unused_tokens=settings.unused_tokens,
        )
        progress.advance(len(tokens))
    if len(tokens) < settings.vocab_size:
        lower = " A lower --min-frequency or more" if settings.min_frequency > 1 else " More"
        site.reporter.warn(
            f"The text gives {len(tokens):,} tokens, not {settings.vocab_size:,}: no further pair "
            f"of pieces comes {settings.min_frequency:,} times.{lower} text gives more."
        )
    return tokens


def _write(site: Site, vocabulary: Vocabulary, normalization: Normalization) -> Unit:
    def make(builder: UnitBuilder) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=site.units.work) as directory:
            write_tokenizer_files(vocabulary, normalization, Path(directory))
            for name in TOKENIZER_FILES:
                shutil.move(Path(directory, name), builder.path(name))
        return {}

    return site.units.build("vocabulary", vocabulary.fingerprint(normalization), make)
