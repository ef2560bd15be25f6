"""The first phase of sharding: pieces of the corpus turned into sorted files of token ids."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpus.documents import Document
from ..corpus.sentences import sentence_lines
from ..corpus.settings import SentenceSettings
from ..corpus.stripping import count_line_ends
from ..errors import WorkFailed
from ..stage.units import WORK, UnitBuilder
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.files import load_vocabulary
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .chinese_words import encode_with_words
from .tokens import TokenisedDocuments


class _Encoder(threading.local):
    """An encoder learns words as it goes: a thread, as Dask's workers have several, has its own."""

    fingerprint = ""
    encoder: WordPieceEncoder


_OWN = _Encoder()


def encoder_for(vocab: Path, fingerprint: str) -> WordPieceEncoder:
    """Return this thread's encoder; forked workers find their parent's, with what it knows.

    Dask's workers outlive commands, and what `vocab` names may have been made anew meanwhile.

    Raises:
        WorkFailed: what stands there hasn't that fingerprint.
    """
    if _OWN.fingerprint != fingerprint:
        use_encoder(*load_vocabulary(vocab))
        if _OWN.fingerprint != fingerprint:
            raise WorkFailed(
                f"{vocab} holds another vocabulary than when this command began: "
                f"{_OWN.fingerprint[:12]}…; expected {fingerprint[:12]}….",
                hint="Run the command again once the vocabulary is made. Do all machines see the "
                "same files there?",
            )
    return _OWN.encoder


def use_encoder(vocabulary: Vocabulary, normalization: Normalization) -> WordPieceEncoder:
    """Give this thread an encoder for a vocabulary."""
    _OWN.encoder = WordPieceEncoder(vocabulary, normalization)
    _OWN.fingerprint = vocabulary.fingerprint(normalization)
    return _OWN.encoder


@dataclass(frozen=True)
class Tokenise:
    """Makes the unit of a piece: its documents' token ids, in the order of their bucket keys.

    `fingerprint` is that of the vocabulary which stands at `vocab`.
    With `chinese_words` it also says which tokens continue a word, which nobody could tell later.
    """

    vocab: Path
    fingerprint: str
    sentences: SentenceSettings
    seed: int
    chinese_words: bool = False

    def __call__(
        self, documents: Sequence[Document], builder: UnitBuilder, name: str
    ) -> dict[str, int]:
        """Write the documents that have any token; return what is worth counting."""
        encoder = encoder_for(self.vocab, self.fingerprint)
        words, library_words = encoder.num_words, encoder.num_library_words
        tokenised = self._tokenise(documents, encoder)
        if len(tokenised):
            path = builder.path(f"{WORK}/tokens/{name}.arrow", digested=False)
            tokenised.write(path, self.seed)
        return {
            "documents": len(tokenised),
            "one_sentence_documents": int(
                np.count_nonzero(np.diff(tokenised.document_ends, prepend=0) == 1)
            ),
            "sentences": len(tokenised.sentence_ends),
            "tokens": len(tokenised.ids),
            "words": encoder.num_words - words,
            "library_words": encoder.num_library_words - library_words,
            "unknown": int(np.count_nonzero(tokenised.ids == encoder.vocabulary.unk_id)),
        }

    def _tokenise(
        self, documents: Sequence[Document], encoder: WordPieceEncoder
    ) -> TokenisedDocuments:
        lines, counts = self._lines(documents)
        if self.chinese_words:
            ids, ends, continues = encode_with_words(encoder, lines.decode())
        else:
            (ids, ends), continues = encoder.encode_lines(lines), None
        # What normalises to nothing, such as a blank line or one of controls, is no sentence.
        real = np.diff(ends, prepend=0) > 0
        document = np.repeat(np.arange(len(documents)), counts)[real]
        sentences = np.bincount(document, minlength=len(documents))
        usable = sentences > 0
        return TokenisedDocuments(
            ids=ids,
            sentence_ends=ends[real],
            document_ends=np.cumsum(sentences)[usable],
            identities=np.array([each.identity for each in documents], np.uint64)[usable],
            parts=np.array([each.part for each in documents], np.uint32)[usable],
            digests=np.array([each.digest for each in documents], np.uint64)[usable],
            continues=continues,
        )

    def _lines(self, documents: Sequence[Document]) -> tuple[bytes, list[int]]:
        """Return all sentences, one a line, and how many lines each document has."""
        lines = [sentence_lines(each.data, self.sentences) for each in documents]
        return b"\n".join((*lines, b"")), [count_line_ends(each) + 1 for each in lines]
