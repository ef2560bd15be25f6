"""The first phase of sharding: pieces of the corpus turned into sorted files of token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..corpus.sentences import split_sentences
from ..corpus.settings import CorpusSettings, SentenceSettings
from ..corpus.sources import Document, Piece, Source, content_digest, read_pieces
from ..stage.files import fingerprint_of
from ..stage.units import WORK, Unit, UnitBuilder, UnitStore
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.vocabulary import load_vocabulary
from .tokens import TokenisedDocuments

_LINES_AT_ONCE_BYTES = 4 << 20


@dataclass(frozen=True)
class TokeniseTask:
    """One source to tokenise, with all that decides what comes out."""

    units: UnitStore
    source: Source
    corpus: CorpusSettings
    sentences: SentenceSettings
    vocab: Path
    vocabulary_fingerprint: str
    seed: int
    chunk_bytes: int

    @property
    def name(self) -> str:
        """The unit's name: where the text stands, so that no two runs of it collide."""
        where = fingerprint_of([self.source.file.path, self.source.start])
        return f"source-{where[:16]}"

    @property
    def key(self) -> str:
        """What the unit is made from; a file is known by path, size and time while work lasts."""
        return fingerprint_of(
            [
                asdict(self.source),
                asdict(self.corpus),
                asdict(self.sentences),
                self.vocabulary_fingerprint,
                self.seed,
                self.chunk_bytes,
            ]
        )


@lru_cache(maxsize=1)
def encoder_for(vocab: Path, fingerprint: str) -> WordPieceEncoder:
    """Return this process's encoder; forked workers find their parent's, with its warm cache."""
    vocabulary, normalization = load_vocabulary(vocab)
    return WordPieceEncoder(vocabulary, normalization)


def tokenise_source(task: TokeniseTask) -> tuple[str, list[Unit]]:
    """Tokenise one source piece by piece; return its path and the units of its pieces."""

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        pieces = read_pieces(task.source, task.corpus, task.chunk_bytes)
        return {"pieces": [_tokenise_piece(task, piece).name for piece in pieces]}

    whole = task.units.build(task.name, task.key, make)
    found = [task.units.find(name, task.key) for name in whole.result["pieces"]]
    return task.source.file.path, [unit for unit in found if unit is not None]


def _tokenise_piece(task: TokeniseTask, piece: Piece) -> Unit:
    name = f"{task.name}-{piece.index:05d}"

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        documents, figures = _tokenise(task, piece.documents)
        if len(documents):
            documents.write(builder.path(f"{WORK}/tokens/{name}.arrow"), task.seed)
        return {
            **figures,
            "documents": len(documents),
            "sentences": len(documents.sentence_ends),
            "tokens": len(documents.ids),
            "text_bytes": piece.text_bytes,
            "skipped": [str(each) for each in piece.skipped],
            "content": f"{content_digest(piece.documents):064x}",
        }

    return task.units.build(name, task.key, make)


def _tokenise(
    task: TokeniseTask, documents: Sequence[Document]
) -> tuple[TokenisedDocuments, dict[str, int]]:
    encoder = encoder_for(task.vocab, task.vocabulary_fingerprint)
    lines, counts = _lines(documents, task.sentences)
    ids, ends = encoder.encode_lines(lines)
    lengths = np.diff(ends, prepend=0)
    document = np.repeat(np.arange(len(documents)), counts)
    # What normalises to nothing, such as a line of control characters, is no sentence.
    document = document[lengths > 0]
    sentences = np.bincount(document, minlength=len(documents))
    usable = sentences > 0
    tokenised = TokenisedDocuments(
        ids=ids,
        sentence_ends=ends[lengths > 0],
        document_ends=np.cumsum(sentences)[usable],
        identities=np.array([each.identity for each in documents], np.uint64)[usable],
        parts=np.array([each.part for each in documents], np.uint32)[usable],
    )
    return tokenised, {
        "one_sentence_documents": int(np.count_nonzero(sentences == 1)),
        "unknown": int(np.count_nonzero(ids == encoder.vocabulary.unk_id)),
    }


def _lines(documents: Sequence[Document], settings: SentenceSettings) -> tuple[bytes, list[int]]:
    """Return all sentences, one a line, and how many of them each document has."""
    lines: list[str] = []
    counts: list[int] = []
    for document in documents:
        sentences = split_sentences(document.text, settings)
        lines.extend(sentences)
        counts.append(len(sentences))
    return "\n".join(lines).encode(), counts
