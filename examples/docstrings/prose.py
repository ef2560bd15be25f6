"""A docstring to its prose: the paragraphs one would read aloud, without code, tables or markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_WORDS = 5
"""A paragraph of fewer words is a heading, a type or a fragment."""
MIN_WORD_SHARE = 0.7
"""The share of plain words among a paragraph's tokens; below it lie formulas, code and tables."""

_FENCE = re.compile(r"\s*(?:```|~~~)")
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\.(?:\s|$)|In \[\d+\]:|\$ )")
_DIRECTIVE = re.compile(r"\s*\.\.(?:\s|$)")
_ADMONITION = re.compile(
    r"\s*\.\. +(?:note|warning|tip|hint|important|attention|caution|danger|seealso) *::(.*)$"
)

_UNDERLINE = re.compile(r"\s*([=~^#*+.\"'-])\1{2,}\s*$")
_TABLE = re.compile(r"\s*[+|]|.*[=-]{2,}\s+[=-]{2,}|.*\S\s*\|.*\||.*[\u2500-\u25ff]|.*\S\s{4,}\S")
_HEADER = re.compile(r"\s*[*_]*[A-Z][\w /-]{0,30}[*_]*::?[*_]*\s*$")

# What opens a list item or a description of a parameter; all of it but the description goes.
_NAME = r"[*\\`]*\w[\w.*`\\]*"
_OPENINGS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\s*(?:[-*•+]|\(?(?:\d{1,2}|[a-z])[.)])\s+(?=\S)",  # a bullet, a number
        r"\s*:[A-Za-z][^:`]{0,60}:(?:\s+|$)",  # :param name:
        r"\s*@\w+(?:\s+\w+:)?\s+",  # @param name:
        rf"\s*{_NAME}(?:, *(?:{_NAME}|\.\.\.))* +:(?:\s.*|$)",  # numpydoc: name : type
        rf"\s+{_NAME}(?: *[(\[].{{0,80}}?[)\]])? *(?::|--)(?:\s+|$)",  # Google: name (type): what
    )
)

_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r":math:`[^`]*`|\$[^$]{1,80}\$", " "),
        (r"\[!\w+\]|(?<!\S)>(?!\S)", " "),  # a callout's mark
        (r"(?::[\w.+-]+)?:[\w.+-]+:`[~!]?([^`<]*)(?:<[^`>]*>)?`", r"\1"),  # a role
        (r"`([^`<]+?)\s*<[^`>]*>`_{0,2}", r"\1"),  # a named link
        (r"!?\[([^\]]+)\]\([^)\s]*\)", r"\1"),  # the same in Markdown
        (r"\[(`[^`\]]+`)\]", r"\1"),
        (r"\[[#*]?\w[\w-]*\]_", " "),  # a footnote
        (r"<?\b(?:https?|ftp)://[^\s>]+>?", " "),
        (r"`+([^`]*)`+_{0,2}", r"\1"),
        (r"(?<!\w)\*\*([^*]+)\*\*(?!\w)", r"\1"),
        (r"(?<!\w)\*([^*\s][^*]*?)\*(?!\w)", r"\1"),
        (r"</?[A-Za-z][^<>]{0,60}>", " "),
        (r"\\([*_`|])", r"\1"),
        (r"\s+", " "),
        (r" ([,.;:!?)])(?=\s|$)", r"\1"),
    )
)
_WORD = re.compile(r"[(\"'\[]*[A-Za-z]+(?:['’/-][A-Za-z]+)*[)\"'\]]*[.,;:!?]*[)\"'\]]*")


def prose(docstring: str) -> list[str]:
    """Return the paragraphs of a cleaned docstring that are worded, each unwrapped to one line."""
    blocks = _blocks(_without_code(docstring.expandtabs().splitlines()))
    return [text for block in blocks if is_prose(text := _without_markup(" ".join(block)))]


def is_prose(text: str) -> bool:
    """Tell whether a text is worded rather than coded."""
    tokens = text.split()
    words = sum(_WORD.fullmatch(token) is not None for token in tokens)
    return words >= MIN_WORDS and words >= MIN_WORD_SHARE * len(tokens)


def _without_markup(text: str) -> str:
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text.strip()


def _without_code(lines: list[str]) -> Iterator[str]:
    """Blank every line of fenced code, doctests, directives and what is indented after `::`."""
    fenced = doctest = False
    literal_within: int | None = None  # lines indented deeper than this belong to a code block
    for line in lines:
        blank = not line.strip()
        if _FENCE.match(line):
            fenced, blank = not fenced, True
        doctest = not blank and (doctest or _DOCTEST.match(line) is not None)
        if fenced or blank or doctest:
            yield ""
            continue
        if literal_within is not None and _indent(line) > literal_within:
            yield ""
            continue
        literal_within = None
        if admonition := _ADMONITION.match(line):
            yield " " * (_indent(line) + 3) + admonition[1].strip()
        elif _DIRECTIVE.match(line):
            literal_within = _indent(line)
            yield ""
        elif line.rstrip().endswith("::"):
            literal_within = _indent(line)
            yield line.rstrip()[:-1]
        else:
            yield line


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """Cut lines into paragraphs, list items and descriptions; headings and tables are left out."""
    block: list[str] = []
    indent = 0  # of the block's first line
    item = False  # an item's further lines hang deeper than its first
    for line in lines:
        if _UNDERLINE.match(line):
            block = []  # the line above was a heading
            continue
        opening = next((found for each in _OPENINGS if (found := each.match(line))), None)
        outdented = _indent(line) < indent
        indented = _indent(line) > indent and not item
        if opening or outdented or indented or not line.strip():
            yield from _finished(block)
            block = []
        text = line[opening.end() :] if opening else line
        if not block:
            indent, item = _indent(line), opening is not None
        if text.strip():
            block.append(text)
    yield from _finished(block)


def _finished(block: list[str]) -> Iterator[list[str]]:
    heading = len(block) == 1 and _HEADER.match(block[0])
    if block and not heading and not any(_TABLE.match(line) for line in block):
        yield [line.strip() for line in block]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
