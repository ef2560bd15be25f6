"""Sources in, groups out: what one task reads, and which units a grown corpus finds again.

A unit costs a few writes to the disk, whatever is in it, so that small files share theirs. Which
files stand together is decided by hashes of their paths, as in a trie: a set that is too large is
split by its next bit. A file that is added or removed therefore changes one group, or splits it,
and leaves every other as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain

from ..stage.files import fingerprint_of
from .documents import Document
from .pieces import Piece
from .settings import CorpusSettings
from .sources import Source, read_pieces

_LEAST_FILE_BYTES = 16 << 10
"""What a file counts for at least: opening it takes as long as reading so much."""
_SMALL_SHARE = 1 / 4
"""Of a chunk: larger sources stand alone, or they would split up the small ones around them."""
_HASH_BITS = 64


@dataclass(frozen=True)
class Group:
    """Sources that one task reads, in their order; `name` is unlike that of any other group."""

    name: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Batch:
    """The text of one unit of work: pieces, each beside the path it was read from."""

    pieces: tuple[tuple[str, Piece], ...]

    @cached_property
    def documents(self) -> list[Document]:
        """The documents of all pieces."""
        return [document for _, piece in self.pieces for document in piece.documents]


def group_sources(sources: Iterable[Source], chunk_bytes: int) -> tuple[Group, ...]:
    """Put small whole files together, about `chunk_bytes` of them; ranges stay by themselves."""
    alone: list[Group] = []
    small: list[tuple[int, Source]] = []
    for source in sources:
        if source.is_whole and _weight(source) <= chunk_bytes * _SMALL_SHARE:
            small.append((_hash(source.file.path), source))
        else:
            where = fingerprint_of([source.file.path, source.start])
            alone.append(Group(f"source-{where[:16]}", (source,)))
    together = [
        Group(f"sources-{prefix or 'all'}", tuple(found))
        for prefix, found in _split(small, "", chunk_bytes)
    ]
    return (*alone, *together)


def read_batches(
    sources: Sequence[Source], settings: CorpusSettings, chunk_bytes: int
) -> Iterator[Batch]:
    """Yield the text of a group's sources in order, in batches of about `chunk_bytes` at most.

    Where there is a single source a batch is a piece of it. Raises as `read_pieces` does.
    """
    batch: list[tuple[str, Piece]] = []
    size = 0
    for path, piece in chain.from_iterable(
        ((source.file.path, piece) for piece in read_pieces(source, settings, chunk_bytes))
        for source in sources
    ):
        if batch and (len(sources) == 1 or size + piece.weight > chunk_bytes):
            yield Batch(tuple(batch))
            batch, size = [], 0
        batch.append((path, piece))
        size += piece.weight
    if batch:
        yield Batch(tuple(batch))


def _split(
    small: list[tuple[int, Source]], prefix: str, chunk_bytes: int
) -> Iterator[tuple[str, Iterable[Source]]]:
    """Yield the leaves of the trie and their prefixes; sources keep their order in a leaf."""
    weight = sum(_weight(source) for _, source in small)
    if len(small) <= 1 or weight <= chunk_bytes or len(prefix) == _HASH_BITS:
        if small:
            yield prefix, (source for _, source in small)
        return
    bit = 1 << (_HASH_BITS - 1 - len(prefix))
    yield from _split([each for each in small if not each[0] & bit], prefix + "0", chunk_bytes)
    yield from _split([each for each in small if each[0] & bit], prefix + "1", chunk_bytes)


def _weight(source: Source) -> int:
    return max(source.file.size, _LEAST_FILE_BYTES)


def _hash(path: str) -> int:
    digest = blake2b(path.encode(), digest_size=_HASH_BITS // 8, person=b"bertctl group")
    return int.from_bytes(digest.digest(), "big")
