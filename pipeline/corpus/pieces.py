"""Documents in, pieces out: the units of work that are committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from .documents import Document, Sized, add_digests
from .faults import Faults, Skipped


@dataclass(frozen=True)
class Piece:
    """About `chunk_bytes` of whole documents (or parts of a long one)."""

    index: int
    """0, 1, … within the source."""
    documents: list[Document]
    text_bytes: int
    """UTF-8 bytes of the documents' text."""
    content: int
    """`content_digest` of the documents."""
    source_bytes: int
    """Bytes of the file that were read for it, compressed as they are: for progress. Over all
    pieces of all sources they add up to the size of the files."""
    num_skipped: int
    """Lines, records or rests of archives that were left out with `--on-bad-input skip`."""
    skipped: tuple[Skipped, ...]
    """The first few of them."""

    @property
    def weight(self) -> int:
        """How much of a chunk it fills."""
        return max(self.text_bytes, len(self.documents) * _LEAST_DOCUMENT_BYTES)


_LEAST_DOCUMENT_BYTES = 64
"""What a document counts for at least: a million of one word each take memory, too."""


class Progress(Protocol):
    """How far the reading of a source has come."""

    @property
    def consumed(self) -> int:
        """Bytes of the file that were read."""
        ...


def pieces_of(
    documents: Iterable[Sized], progress: Progress, faults: Faults, *, limit: int
) -> Iterator[Piece]:
    """Yield pieces that end with the document that reaches `limit` bytes of text.

    A piece is handed out when the next document is there, so that the last one, which may be
    empty, tells of everything that was read and left out after it.
    """
    index = text_bytes = weight = consumed = 0
    batch: list[Document] = []
    digests: list[int] = []

    def piece() -> Piece:
        num_skipped, skipped = faults.take()
        content = add_digests(digests)
        read = progress.consumed - consumed
        return Piece(index, batch, text_bytes, content, read, num_skipped, skipped)

    for document, num_bytes, digest in documents:
        if weight >= limit:
            done = piece()
            yield done
            index, consumed = index + 1, consumed + done.source_bytes
            text_bytes = weight = 0
            batch, digests = [], []
        batch.append(document)
        digests.append(digest)
        text_bytes += num_bytes
        weight += max(num_bytes, _LEAST_DOCUMENT_BYTES)
    yield piece()
