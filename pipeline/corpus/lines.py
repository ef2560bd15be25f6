"""Blocks of bytes in, lines of text out: valid, stripped, and none longer than a limit.

Only `\\n` ends a line (a `\\r` before it is stripped with other blanks): never `str.splitlines`,
which breaks at a dozen other characters that are ordinary in text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .faults import Faults
from .opening import ByteStream
from .stripping import count_line_ends, stripped_lines

_BYTE_ORDER_MARK = "\ufeff"
_SENTENCE_END = re.compile(
    rb"[.!?][\"')\]]*(?=[ \t])|" + b"|".join(each.encode() for each in "。！？｡")
)


_EVERY_OTHER_NUL = re.compile(rb"(?:[^\0]\0){3}|(?:\0[^\0]){3}")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
_HIGH = re.compile(rb"[\x80-\xff]")
_HIGH_PAIR = re.compile(rb"[\x80-\xff]{2}")


class RawLines(NamedTuple):
    """Whole lines without the last line's end, or a piece of a line that is too long."""

    data: bytes
    offset: int
    """Where `data` begins in the text, in bytes."""
    number: int
    """The number of the first line, from 1."""
    joins: bool
    """The first line goes on where the last one of the `RawLines` before stopped."""
    continues: bool
    """The last line goes on in the next `RawLines`; it is the only one then."""


class Lines(NamedTuple):
    """The same as UTF-8 text: every line stripped, bad ones left out.

    Bytes, because most of what is done to text takes it so; a line may be blank.
    """

    data: bytes
    number: int
    joins: bool
    continues: bool

    @property
    def texts(self) -> list[str]:
        """The lines one by one."""
        return self.data.decode().split("\n")


def cut_place(data: bytes, start: int, longest: int) -> int:
    """Return where to cut UTF-8 text that goes on for more than `longest` bytes after `start`.

    After the last sentence in the second half of these bytes, else before the last space there,
    else before a character; never at `start`.
    """
    assert longest >= 4, "any character fits"
    end = _character_start(data, start + longest)
    middle = start + (end - start) // 2
    sentence = 0
    for match in _SENTENCE_END.finditer(data, middle, end):
        sentence = match.end()
    space = data.rfind(b" ", middle + 1, end)
    return sentence or (space if space > start else end)


def read_lines(stream: ByteStream, faults: Faults, *, longest: int) -> Iterator[Lines]:
    """Yield the lines of a stream in batches; a line of more than `longest` bytes in pieces.

    What isn't UTF-8, or holds a NUL, is reported and left out. A piece without text is left out
    too, so that only a line that is blank from end to end gives an empty string.
    """
    said = False  # whether a piece of the line that goes on was handed out
    for raw in raw_lines(stream, longest):
        said = said and raw.joins
        for data, number in _valid(raw, faults):
            if raw.continues:
                if data:
                    yield Lines(data, number, joins=said, continues=True)
                    said = True
                continue
            joins = said and number == raw.number  # or else the line's last piece was bad
            if joins and data[:1] in (b"", b"\n"):
                if not data:
                    continue
                joins, data, number = False, data[1:], number + 1
            yield Lines(data, number, joins=joins, continues=False)


def raw_lines(stream: ByteStream, longest: int) -> Iterator[RawLines]:
    """Yield the lines as bytes, undecoded; a line of more than `longest` bytes in pieces."""
    offset, number, joins, tail = stream.begin, 1, False, b""
    for block in stream:
        end = block.rfind(b"\n")
        if end >= 0:
            data = tail + block[:end]
            yield from _whole_lines(RawLines(data, offset, number, joins, False), longest)
            offset, joins = offset + len(data) + 1, False
            number += count_line_ends(data) + 1
            tail = block[end + 1 :]
        else:
            tail += block
        start = 0
        while len(tail) - start > longest:
            cut = cut_place(tail, start, longest)
            yield RawLines(tail[start:cut], offset + start, number, joins, True)
            start, joins = cut, True
        tail, offset = tail[start:], offset + start
    if tail and not stream.cut_off:
        yield RawLines(tail, offset, number, joins, False)


def _whole_lines(lines: RawLines, longest: int) -> Iterator[RawLines]:
    """Take lines that are too long out of a run of whole lines."""
    if len(lines.data) <= longest:
        yield lines
        return
    data, offset, number, joins, _ = lines
    run = start = 0
    while start <= len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if end - start > longest:
            if start > run:
                yield RawLines(data[run : start - 1], offset + run, number, joins, False)
                number, joins = number + data.count(b"\n", run, start), False
            while end - start > longest:
                cut = cut_place(data, start, longest)
                yield RawLines(data[start:cut], offset + start, number, joins, True)
                start, joins = cut, True
            run = start
        start = end + 1
    yield RawLines(data[run:], offset + run, number, joins, False)


def _valid(raw: RawLines, faults: Faults) -> Iterator[tuple[bytes, int]]:
    """Yield runs of good lines and the number of their first line."""
    if _is_text(raw.data):
        mark = b"" if raw.offset else _BYTE_ORDER_MARK.encode()
        yield stripped_lines(raw.data.removeprefix(mark)), raw.number
        return
    run: list[str] = []
    offset = raw.offset
    number = raw.number
    for number, line in enumerate(raw.data.split(b"\n"), start=raw.number):
        text = decoded_line(line, number, offset, faults)
        if text is not None:
            run.append(text.strip())
        elif run:
            yield "\n".join(run).encode(), number - len(run)
            run = []
        offset += len(line) + 1
    if run:
        yield "\n".join(run).encode(), number + 1 - len(run)


def _is_text(data: bytes) -> bool:
    try:
        return b"\0" not in data and (data.isascii() or bool(data.decode()))
    except UnicodeDecodeError:
        return False


def decoded_line(line: bytes, number: int, offset: int, faults: Faults) -> str | None:
    """Return the text of a line that begins at `offset`; None where it isn't text, reported."""
    if (nul := line.find(b"\0")) >= 0:
        found, hint = _what_has_nul(line)
        faults.report(
            found,
            expected="UTF-8 text",
            hint=hint,
            line=number,
            offset=offset + nul,
        )
        return None
    try:
        text = line.decode()
        return text if offset else text.removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        like, hint = _what_is_not_utf8(line)
        faults.report(
            f"invalid UTF-8 (byte 0x{line[error.start]:02x}: {error.reason}){like}",
            expected="UTF-8 text",
            hint=hint,
            line=number,
            offset=offset + error.start,
        )
        return None


def _what_has_nul(line: bytes) -> tuple[str, str]:
    """Say what a line with NUL bytes may be, and what to do."""
    if _EVERY_OTHER_NUL.search(line):
        return "NUL bytes between letters, as in UTF-16", (
            "Convert the file, for example with: iconv -f UTF-16LE -t UTF-8."
        )
    return "a NUL byte, as binary files have", "Leave this file out, or convert it to text."


def _what_is_not_utf8(line: bytes) -> tuple[str, str]:
    """Say what a line that isn't UTF-8 may be, and what to do."""
    convert = "Convert the file, for example with: iconv -f {} -t UTF-8."
    if _SURROGATE.search(line):
        return ", half of a pair that only UTF-16 has", "Write the file again as UTF-8."
    if _HIGH_PAIR.search(line) is None:  # accented letters stand between plain ones
        return ", as in Latin-1 or Windows-1252", convert.format("WINDOWS-1252")
    good = line.decode(errors="ignore").encode()
    if 2 * len(_HIGH.findall(good)) > len(_HIGH.findall(line)):
        return " among others that are valid", "Mend the line, or make the file again."
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return "", "Convert the file from the encoding it is in, for example with iconv."
    return ", as in GBK or another encoding of two bytes a character", convert.format("GB18030")


def _character_start(data: bytes, position: int) -> int:
    for back in range(4):
        if data[position - back] & 0xC0 != 0x80:
            return position - back
    return position  # not UTF-8 at all
