"""A corpus of any size in, documents from several places of it out, in a second or two."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ..corpus.boundaries import boundary_pattern, first_boundary
from ..corpus.documents import Document
from ..corpus.formats import Format, format_of
from ..corpus.opening import opened
from ..corpus.settings import CorpusSettings
from ..corpus.sources import Source, plan_sources, read_pieces
from ..corpus.uris import without_options
from ..randomness import KeyedRandom
from ..stage.recipe import ListedInput

_PLACES = 12
_SPREAD = 0.5
"""Of a twelfth of the corpus: how far a place lies from its beginning at most."""
_SAMPLE_BYTES = 3 << 20
"""Of text, from all places together."""
_WHOLE_BYTES, _WHOLE_FILES = 8 << 20, 1000
"""What isn't larger is read whole: it takes no longer, and places never overlap."""
_FILES_AT_A_PLACE = 50
_PART_BYTES = 256 << 10
"""A longer document comes in parts."""
_FEW_DOCUMENTS = 1000
"""So many are looked for where only the first N are asked for."""
_PACKED = 4
"""What a compressed byte counts for."""
_BOUNDARY_BYTES = 8 << 20
"""How far from a place the next document is looked for."""


@dataclass(frozen=True)
class Place:
    """What was read from one place of a file on.

    `is_inside`: no document begins within the next megabytes, so that nothing was read;
    `is_end`: the file was read to its end.
    """

    file: ListedInput
    start: int
    documents: tuple[Document, ...]
    source_bytes: int
    num_skipped: int
    skipped: tuple[str, ...]
    is_inside: bool = False
    is_end: bool = False


def sample_corpus(
    files: Sequence[ListedInput], settings: CorpusSettings, *, seed: int
) -> Iterator[Place]:
    """Yield what stands in a dozen places spread over the files, or in all of a small corpus.

    Bad input is left out and told, whatever the settings say.
    """
    gentle = replace(
        settings,
        on_bad_input="skip",
        max_document_bytes=min(_PART_BYTES, settings.max_document_bytes),
    )
    if settings.max_documents is not None and settings.max_documents <= _FEW_DOCUMENTS:
        for source in plan_sources(files, gentle):
            yield _read(source, gentle, limit=None)
        return
    gentle = replace(gentle, max_documents=None)
    size = sum(file.size * (_PACKED if _format(file).compression else 1) for file in files)
    if size <= _WHOLE_BYTES and len(files) <= _WHOLE_FILES:
        for file in files:
            yield _read(Source(file, 0, file.size), gentle, limit=None)
        return
    places = list(dict.fromkeys(_places(files, gentle, seed)))
    limit = max(_SAMPLE_BYTES // len(places), _PART_BYTES)
    for file, start in places:
        if start and not _begins_soon(file, start, gentle):
            is_inside = file.size - start > _SAMPLE_BYTES
            yield Place(file, start, (), 0, 0, (), is_inside=is_inside)
        else:
            yield _read(Source(file, start, file.size), gentle, limit=limit)


def _format(file: ListedInput) -> Format:
    how = format_of(without_options(file.path))
    assert how is not None, "only readable files are listed"
    return how


def _places(
    files: Sequence[ListedInput], settings: CorpusSettings, seed: int
) -> Iterator[tuple[ListedInput, int]]:
    """Yield the beginning, then a place in each further twelfth of the bytes.

    A small file is a place as a whole, and so are those after it, until there is text enough.
    """
    ends = list(accumulate(file.size for file in files))
    jitter = KeyedRandom(seed, "places").uniform(_PLACES) * _SPREAD
    for number in range(_PLACES):
        at = int((number + jitter[number] * (number > 0)) * ends[-1] / _PLACES)
        which = bisect_right(ends, at)
        start = at - (ends[which] - files[which].size)
        enough = _SAMPLE_BYTES // _PLACES
        for file in files[which : which + _FILES_AT_A_PLACE]:
            if file.size <= enough or not _can_begin_inside(file, settings):
                start = 0
            yield file, start
            enough -= file.size - start
            start = 0
            if enough <= 0:
                break


def _can_begin_inside(file: ListedInput, settings: CorpusSettings) -> bool:
    how = _format(file)
    if how.compression is not None:
        return False
    return how.kind == "jsonl" or (how.kind == "text" and settings.documents != "file")


def _read(source: Source, settings: CorpusSettings, *, limit: int | None) -> Place:
    file = source.file
    documents: list[Document] = []
    text_bytes = source_bytes = num_skipped = 0
    skipped: list[str] = []
    is_end = True
    for piece in read_pieces(source, settings, limit or max(file.size, 1)):
        documents += piece.documents
        text_bytes += piece.text_bytes + len(piece.documents)
        source_bytes += piece.source_bytes
        num_skipped += piece.num_skipped
        skipped += map(str, piece.skipped)
        if limit is not None:
            is_end = piece.source_bytes >= file.size - source.start
            break
    # Files are read in blocks, of which not all was used.
    match _format(file):
        case Format("text", None):
            source_bytes = text_bytes
        case Format("jsonl", None) if not is_end:
            source_bytes = min(source_bytes, _line_bytes(source) * len(documents))
        case _:
            pass
    return Place(
        file,
        source.start,
        tuple(documents),
        source_bytes,
        num_skipped,
        tuple(skipped),
        is_end=is_end,
    )


def _line_bytes(source: Source) -> int:
    """Return how long a line is around there, fields that aren't read included."""
    with opened(source.file) as handle:
        window = handle.pread(_PART_BYTES, source.start)
    return len(window) // max(window.count(b"\n"), 1)


def _begins_soon(file: ListedInput, start: int, settings: CorpusSettings) -> bool:
    """Whether a document begins so near that looking for it doesn't mean to read the file."""
    kind = "jsonl" if _format(file).kind == "jsonl" else "text"
    pattern = boundary_pattern(kind, settings)
    before = min(file.size, start + _BOUNDARY_BYTES)
    with opened(file) as handle:
        return first_boundary(
            handle, start, size=file.size, pattern=pattern, before=before
        ) not in (None, file.size)
