"""Input files in, sources out, and from each source pieces: the units of work that are committed.

A source is what one worker reads from beginning to end: a range of a plain file whose documents
stand apart, or else a whole file. How sources and pieces are cut never changes the documents.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import FileIO
from itertools import takewhile

from .boundaries import boundary_pattern, first_boundary
from .compression import BLOCK_BYTES
from .documents import Document, Sized, add_digests, documents_of
from .faults import Faults, Skipped
from .formats import Format, format_of
from .layouts import Portion, portions_of_lines
from .lines import read_lines
from .listing import InputFile
from .opening import ByteStream, opened
from .records import MAX_RECORD_BYTES, portions_of_records
from .settings import CorpusSettings

CHUNK_BYTES = 8 << 20
_COUNTED_BYTES = 1 << 30
"""How much of a file is read again to give a fault its line number."""


@dataclass(frozen=True)
class Source:
    """What one worker reads; small and picklable.

    `start` and `end` are nominal: the source holds the documents that begin, by the rule of
    `first_boundary`, in between. So planning opens no file, and a source may turn out empty.
    """

    file: InputFile
    start: int
    end: int
    max_documents: int | None = None


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


def plan_sources(
    files: Iterable[InputFile], settings: CorpusSettings, chunk_bytes: int = CHUNK_BYTES
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
    return tuple(_first_documents(sources, settings, settings.max_documents))


def read_pieces(
    source: Source, settings: CorpusSettings, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Piece]:
    """Yield a source's documents in order, in pieces; the last one comes when all was read.

    Memory grows with `chunk_bytes` and `max_document_bytes` only. Raises `BadInput` at the first
    fault with `on_bad_input="stop"`, and whenever the file changes meanwhile.
    """
    how = _format(source.file)
    with opened(source.file) as handle:
        faults = Faults(source.file.path, settings.on_bad_input)
        if how.compression is not None:
            faults.unit = "unpacked byte"
        begin, end = _range(handle, source, how, settings)
        faults.lines_before = lambda: _count_lines(handle, begin)
        stream = ByteStream(
            handle, source.file, faults, begin=begin, end=end, compression=how.compression
        )
        if begin == end and source.file.size:
            return
        documents = documents_of(
            _portions(stream, how, settings, faults), max_bytes=settings.max_document_bytes
        )
        if source.max_documents is not None:
            documents = _first(documents, source.max_documents)
        # A range runs over its nominal end by part of a document: that is no second piece.
        limit = chunk_bytes if how.compression else chunk_bytes + chunk_bytes // 4
        yield from _pieces(documents, stream, faults, limit)


def _format(file: InputFile) -> Format:
    how = format_of(file.path)
    assert how is not None, "only readable files are listed"
    return how


def _is_cut(how: Format, settings: CorpusSettings) -> bool:
    return how.compression is None and (how.kind == "jsonl" or settings.documents != "file")


def _sources_of(
    file: InputFile, how: Format, settings: CorpusSettings, chunk_bytes: int
) -> Iterator[Source]:
    step = chunk_bytes if _is_cut(how, settings) else max(1, file.size)
    for start in range(0, max(1, file.size), step):
        yield Source(file, start, min(start + step, file.size))


def _first_documents(
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


def _range(
    handle: FileIO, source: Source, how: Format, settings: CorpusSettings
) -> tuple[int, int]:
    size = source.file.size
    if (source.start, source.end) == (0, size):
        return 0, size
    pattern = boundary_pattern(how.kind, settings)
    fd = handle.fileno()
    begin = first_boundary(fd, source.start, size=size, pattern=pattern, before=source.end)
    if begin is None:
        return source.end, source.end
    end = first_boundary(fd, source.end, size=size, pattern=pattern)
    assert end is not None
    return begin, end


def _portions(
    stream: ByteStream, how: Format, settings: CorpusSettings, faults: Faults
) -> Iterator[Portion]:
    match how.kind:
        case "jsonl":
            lines = read_lines(stream, faults, longest=MAX_RECORD_BYTES)
            return portions_of_records(lines, settings, faults)
        case "text":
            lines = read_lines(stream, faults, longest=settings.max_document_bytes)
            return portions_of_lines(lines, settings)


def _pieces(
    documents: Iterable[Sized], stream: ByteStream, faults: Faults, limit: int
) -> Iterator[Piece]:
    index = text_bytes = consumed = 0
    batch: list[Document] = []
    digests: list[int] = []

    def piece() -> Piece:
        num_skipped, skipped = faults.take()
        content = add_digests(digests)
        read = stream.consumed - consumed
        return Piece(index, batch, text_bytes, content, read, num_skipped, skipped)

    for document, num_bytes, digest in documents:
        if text_bytes >= limit:
            done = piece()
            yield done
            index, text_bytes, consumed = index + 1, 0, consumed + done.source_bytes
            batch, digests = [], []
        batch.append(document)
        digests.append(digest)
        text_bytes += num_bytes
    yield piece()


def _first(documents: Iterable[Sized], num_documents: int) -> Iterator[Sized]:
    seen = 0

    def counted(each: Sized) -> bool:
        nonlocal seen
        seen += each.document.part == 0
        return seen <= num_documents

    return takewhile(counted, documents)


def _count_lines(handle: FileIO, end: int) -> int | None:
    if end > _COUNTED_BYTES:
        return None
    lines = position = 0
    while position < end:
        block = os.pread(handle.fileno(), min(BLOCK_BYTES, end - position), position)
        if not block:
            break
        lines += block.count(b"\n")
        position += len(block)
    return lines
