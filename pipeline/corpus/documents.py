"""Portions in, documents out: identified by their content, and cut where they are too long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from .layouts import Portion
from .lines import cut_place

_DIGEST_BYTES = 32
_MODULUS = 1 << (8 * _DIGEST_BYTES)
_64_BITS = (1 << 64) - 1


class Document(NamedTuple):
    """A document, or one part of a long one. A tuple, because there are millions of them."""

    data: bytes
    """UTF-8: a paragraph a line (or a sentence, where lines are sentences); no line is blank."""
    identity: int
    """uint64 from the content of the first part: the same for every part, and for a duplicate."""
    part: int
    """0, 1, … within the document."""
    digest: int
    """uint64 from this part's own content: tells parts apart whose documents begin alike."""

    @property
    def text(self) -> str:
        """What `data` says."""
        return self.data.decode()


class Sized(NamedTuple):
    """A document with what was found out about it on the way."""

    document: Document
    num_bytes: int
    digest: int
    """BLAKE2b of the content, below 2**256."""


def content_digest(documents: Iterable[Document]) -> int:
    """Return what identifies a corpus: the sum of its documents' digests modulo 2**256.

    The order of documents, and how they lay in files, makes no difference; how often each of them
    occurs does.
    """
    return add_digests(
        _digest(each.data, identity=each.identity, part=each.part) for each in documents
    )


def add_digests(digests: Iterable[int]) -> int:
    """Return the digest of corpora put together."""
    return sum(digests) % _MODULUS


def documents_of(portions: Iterable[Portion], *, max_bytes: int) -> Iterator[Sized]:
    """Yield the documents that the portions make up; none of them is without text."""
    long = _Long(max_bytes)
    for data, ends in portions:
        if long.is_empty and ends:
            if not data:
                continue
            if len(data) <= max_bytes:
                digest = int.from_bytes(blake2b(data, digest_size=_DIGEST_BYTES).digest(), "little")
                short = digest & _64_BITS
                yield Sized(Document(data, short, 0, short), len(data), digest)
                continue
        if data:
            yield from long.add(data)
        if ends:
            yield from long.end()


class _Long:
    """A document that arrives in several portions, or is too long for one part.

    A part takes lines while they fit, so where the cuts fall depends on the lines alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begin()

    def _begin(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._part = 0
        self._identity = 0

    @property
    def is_empty(self) -> bool:
        return not self._lines and not self._part

    def add(self, lines: bytes) -> Iterator[Sized]:
        if self._size + len(lines) <= self._max_bytes:
            self._take(lines)
            return
        for line in _lines_that_fit(lines, self._max_bytes):
            if self._lines and self._size + len(line) > self._max_bytes:
                yield self._close()
            self._take(line)

    def end(self) -> Iterator[Sized]:
        if self._lines:
            yield self._close()
        self._begin()

    def _take(self, lines: bytes) -> None:
        self._lines.append(lines)
        self._size += len(lines) + 1

    def _close(self) -> Sized:
        data = b"\n".join(self._lines)
        digest = _digest(data, identity=self._identity, part=self._part)
        short = digest & _64_BITS
        if self._part == 0:
            self._identity = short
        document = Document(data, self._identity, self._part, short)
        self._lines, self._size, self._part = [], 0, self._part + 1
        return Sized(document, len(data), digest)


def _lines_that_fit(data: bytes, longest: int) -> Iterator[bytes]:
    for line in data.split(b"\n"):
        start = 0
        while len(line) - start > longest:
            cut = cut_place(line, start, longest)
            if piece := line[start:cut].decode().strip().encode():
                yield piece
            start = cut
        if piece := line[start:].decode().strip().encode() if start else line:
            yield piece


def _digest(data: bytes, *, identity: int, part: int) -> int:
    """Tell equal texts apart that are parts of different documents."""
    salt = b""
    if part:
        salt = identity.to_bytes(8, "little") + part.to_bytes(8, "little")
    return int.from_bytes(blake2b(data, digest_size=_DIGEST_BYTES, salt=salt).digest(), "little")
