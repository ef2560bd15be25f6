"""Input files in, sources out, and from each source pieces.

A source is what one worker reads from beginning to end: a range of a file whose documents stand
apart, or else a whole file. How sources and pieces are cut never changes the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from ..stage.recipe import ListedInput
from .documents import Sized, documents_of
from .faults import Faults
from .formats import Format, format_of
from .opening import opened
from .pieces import Piece, pieces_of
from .reading import portions_of
from .settings import CorpusSettings
from .uris import without_options

CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class Source:
    """What one worker reads; small and picklable.

    `start` and `end` are nominal: the source holds the documents that begin, by the rule of
    `first_boundary`, in between. So planning opens no file, and a source may turn out empty.
    """

    file: ListedInput
    start: int
    end: int
    max_documents: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its file."""
        return self.start == 0 and self.end == self.file.size


def plan_sources(
    files: Iterable[ListedInput], settings: CorpusSettings, chunk_bytes: int = CHUNK_BYTES
) -> tuple[Source, ...]:
    """Cut the files into sources, in the order of the files.

    Nothing is opened, unless `max_documents` asks for the first few: then they are looked for.
    """
    sources = (
        source
        for file in files
        for source in _sources_of(file, _format(file), settings, chunk_bytes)
    )
    if settings.max_documents is None:
        return tuple(sources)
    return tuple(_first_sources(sources, settings, settings.max_documents))


def read_pieces(
    source: Source, settings: CorpusSettings, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Piece]:
    """Yield a source's documents in order, in pieces; the last one comes when all was read.

    Memory grows with `chunk_bytes` and `max_document_bytes` only, and with a record batch of an
    Arrow file. Raises `BadInput` at the first fault with `on_bad_input="stop"`, and whenever the
    file changes meanwhile.
    """
    how = _format(source.file)
    with opened(source.file) as handle:
        faults = Faults(source.file.path, settings.on_bad_input)
        nominal = (source.start, source.end)
        found = portions_of(handle, source.file, how, nominal, settings, faults)
        if found is None:
            return
        progress, portions = found
        documents = documents_of(portions, max_bytes=settings.max_document_bytes)
        if source.max_documents is not None:
            documents = _first_documents(documents, source.max_documents)
        # A range runs over its nominal end by part of a document: that is no second piece.
        margin = chunk_bytes // 4 if how.kind in ("text", "jsonl") and not how.compression else 0
        yield from pieces_of(documents, progress, faults, limit=chunk_bytes + margin)


def _format(file: ListedInput) -> Format:
    how = format_of(without_options(file.path))
    assert how is not None, "only readable files are listed"
    return how


def _sources_of(
    file: ListedInput, how: Format, settings: CorpusSettings, chunk_bytes: int
) -> Iterator[Source]:
    match how.kind:
        case "text":
            is_cut = how.compression is None and settings.documents != "file"
        case "csv" | "tsv":  # a line end may stand inside quotes
            is_cut = False
        case _:
            is_cut = how.compression is None
    step = chunk_bytes if is_cut else max(1, file.size)
    for start in range(0, max(1, file.size), step):
        yield Source(file, start, min(start + step, file.size))


def _first_sources(
    sources: Iterable[Source], settings: CorpusSettings, num_documents: int
) -> Iterator[Source]:
    left = num_documents
    for source in sources:
        limited = replace(source, max_documents=left)
        found = sum(
            document.part == 0
            for piece in read_pieces(limited, settings, settings.max_document_bytes)
            for document in piece.documents
        )
        if found:
            yield replace(source, max_documents=found)
        left -= found
        if not left:
            return


def _first_documents(documents: Iterable[Sized], num_documents: int) -> Iterator[Sized]:
    seen = 0

    def counted(each: Sized) -> bool:
        nonlocal seen
        seen += each.document.part == 0
        return seen <= num_documents

    return takewhile(counted, documents)
