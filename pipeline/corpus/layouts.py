"""Lines in, portions of documents out: where one document ends and the next one begins.

A portion is the UTF-8 of paragraphs, one a line, and whether the document ends after them; an
empty one only ends it. However the lines arrive in batches, the documents are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from .lines import Lines
from .settings import CorpusSettings
from .stripping import places_of_blank_lines

Portion = tuple[bytes, bool]

_WIDE = "\u2e80-\u303f\u3040-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
_BETWEEN_WIDE = re.compile(f"(?<=[{_WIDE}])\n(?=[{_WIDE}])")
"""Where a wrapped line of Chinese or Japanese ends: these scripts have no space between words."""


def portions_of_lines(lines: Iterable[Lines], settings: CorpusSettings) -> Iterator[Portion]:
    """Yield the documents of a text file in portions."""
    if settings.documents == "line":
        return _each_line(lines)
    whole_file = settings.documents == "file"
    if settings.unwrap:
        return _unwrapped(lines, whole_file, settings.max_document_bytes)
    return _whole_file(lines) if whole_file else _between_blank_lines(lines)


def portion_of_record(text: str, *, unwrap: bool) -> Portion:
    """Return a record's text as a whole document: one paragraph a line, none of them blank."""
    if "\n" not in text:
        return text.strip().encode(), True
    lines = map(str.strip, text.split("\n"))
    if unwrap:
        blocks = "\n".join(lines).split("\n\n")
        lines = (join_wrapped(block.strip("\n")) for block in blocks)
    return "\n".join(filter(None, lines)).encode(), True


def join_wrapped(lines: str) -> str:
    """Join the lines of one hard-wrapped paragraph."""
    if not lines.isascii():
        lines = _BETWEEN_WIDE.sub("", lines)
    return lines.replace("\n", " ")


def _each_line(batches: Iterable[Lines]) -> Iterator[Portion]:
    goes_on = False
    for batch in batches:
        if goes_on and not batch.joins:
            yield b"", True
        goes_on = batch.continues
        if goes_on:
            yield batch.data, False
        else:
            for line in batch.data.split(b"\n"):
                yield line, True
    yield b"", True


def _whole_file(batches: Iterable[Lines]) -> Iterator[Portion]:
    for batch in batches:
        yield b"\n".join(filter(None, batch.data.split(b"\n"))), False
    yield b"", True


def _between_blank_lines(batches: Iterable[Lines]) -> Iterator[Portion]:
    for batch in batches:
        # With a line end on either side a blank line is two in a row wherever it stands.
        text = b"\n".join((b"", batch.data, b""))
        start = 0
        for blank in places_of_blank_lines(text):
            yield text[start:blank].strip(b"\n"), True
            start = blank + 1
        yield text[start:].strip(b"\n"), False
    yield b"", True


def _unwrapped(batches: Iterable[Lines], whole_file: bool, longest: int) -> Iterator[Portion]:
    """Join the lines between blank lines; a paragraph longer than `longest` becomes several."""
    paragraph: list[str] = []
    size = blanks = 0
    for text in chain.from_iterable(batch.texts for batch in batches):
        if not text:
            blanks += 1
            if paragraph:
                yield join_wrapped("\n".join(paragraph)).encode(), False
                paragraph, size = [], 0
            elif blanks == 2 and not whole_file:
                yield b"", True
            continue
        blanks = 0
        length = len(text) if text.isascii() else len(text.encode())
        if paragraph and size + length > longest:
            yield join_wrapped("\n".join(paragraph)).encode(), False
            paragraph, size = [], 0
        paragraph.append(text)
        size += length + 1
    yield join_wrapped("\n".join(paragraph)).encode(), True
