"""Paragraphs in, their sentences out, as sentencex (Wikimedia) finds them; nothing is lost.

It knows the rules of many languages. Around it: paragraphs are taken together, since a call costs
as much as a sentence; long ones in windows, since unclosed quotes cost a square; and what it
returns is believed only if it is the text that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

from sentencex import segment  # pyright: ignore[reportAttributeAccessIssue]

CLOSERS = "”’」』》〉）】〕〗〙〛｣\"')"

_WINDOW_CHARACTERS = 8_000
_TOGETHER_BYTES = 8_000
"""Of more than 10,000 sentencex makes parts by itself, and the blank line between two is gone."""

_WIDE_SPACE = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""White space of more than one byte."""

_LONE_CLOSERS = re.compile(f"\n[{CLOSERS}]+(?:\n|$)")


def split_paragraphs(paragraphs: bytes, language: str) -> bytes:
    """Return the sentences of paragraphs, one a line as those are; some lines are blank."""
    return b"\n".join(_split(some, language) for some in _batches(paragraphs))


def sentences_of(paragraph: str, language: str) -> Iterator[str]:
    """Split one paragraph; of a long one, a window's last sentence is begun again in the next."""
    start = 0
    while len(paragraph) - start > _WINDOW_CHARACTERS:
        window = paragraph[start : start + _WINDOW_CHARACTERS]
        sentences = _lossless(window, language)[:-1]
        if not sentences:  # nothing ends here: a list, a table, a wall of digits
            sentences = [window[: window.rfind(" ") + 1] or window]
        yield from sentences
        start += sum(map(len, sentences))
    yield from _lossless(paragraph[start:], language)


def _batches(paragraphs: bytes) -> Iterator[bytes]:
    """Yield whole paragraphs of up to `_TOGETHER_BYTES`, or one that is longer."""
    start = 0
    while len(paragraphs) - start > _TOGETHER_BYTES:
        end = paragraphs.rfind(b"\n", start, start + _TOGETHER_BYTES)
        if end < 0:
            end = paragraphs.find(b"\n", start + _TOGETHER_BYTES)
        if end < 0:
            break
        yield paragraphs[start:end]
        start = end + 1
    yield paragraphs[start:]


def _split(paragraphs: bytes, language: str) -> bytes:
    together = _split_together(paragraphs.replace(b"\n", b"\n\n"), language)
    if together is not None:
        return together.encode()
    each = (sentences_of(paragraph, language) for paragraph in paragraphs.decode().split("\n"))
    return "\n".join(map("\n".join, each)).encode()


def _split_together(encoded: bytes, language: str) -> str | None:
    """Split paragraphs with blank lines between them, each of which sentencex takes for itself.

    None where `_lossless` would have to mend something, in any of them.
    """
    paragraphs = encoded.decode()
    if len(paragraphs) > _WINDOW_CHARACTERS or _has_wide_space(paragraphs, encoded):
        return None
    sentences = _segment(paragraphs, language)
    if sentences is None:
        return None
    lines = "\n".join(sentences)  # the blank lines are among them
    is_whole = len(lines) - (len(sentences) - 1) == len(paragraphs)
    return lines if is_whole and not _LONE_CLOSERS.search(lines) else None


def _lossless(text: str, language: str) -> list[str]:
    sentences = None if _has_wide_space(text, text.encode()) else _segment(text, language)
    if sentences is None:
        sentences = _with_narrow_spaces(text, language)
    if len(sentences) < 2 or sum(map(len, sentences)) != len(text):
        return [text]
    last = sentences[-1]
    if last[0] in CLOSERS and not last.strip(CLOSERS):
        # A bracket or quote that stands alone at the end belongs to its sentence.
        sentences[-2:] = [sentences[-2] + last]
    return sentences


def _has_wide_space(text: str, encoded: bytes) -> bool:
    """Tell whether a common one is in a text, given also in UTF-8."""
    # In memory each letter of Western text has a byte of zero, and so has U+3000: text is searched
    # for it many times as slowly as for the others, or as UTF-8 is for its first byte.
    return not text.isascii() and (
        "\xa0" in text
        or "\u2009" in text
        or "\u202f" in text
        or (b"\xe3" in encoded and "\u3000" in text)
    )


def _segment(text: str, language: str) -> list[str] | None:
    """Call sentencex, which panics at a wide space before a full stop, as in `B\u3000.`: None."""
    try:
        return segment(language, text)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it has no name that can be imported
            raise
        return None


def _with_narrow_spaces(text: str, language: str) -> list[str]:
    ends = list(accumulate(map(len, segment(language, _WIDE_SPACE.sub(" ", text))), initial=0))
    return [text[start:end] for start, end in pairwise(ends)]
