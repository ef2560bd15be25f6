"""How entities are written as tags, one a token: IOB1, IOB2 and BIOES, told apart and converted.

A tag is `O`, or a prefix, a hyphen and a type. IOB1 (Ramshaw and Marcus 1995) writes B only where
an entity follows another of its type, IOB2 (Sang and Veenstra 1999) at the beginning of every one;
BIOES also tells ends (E) and entities of one token (S).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

Scheme = Literal["IOB1", "IOB2", "BIOES"]
Tags = Sequence[str]
Entity = tuple[str, int, int]
"""A type, its first token and its last."""

OUTSIDE = "O"
_PREFIXES = "BIES"


def is_entity_tag(tag: str) -> bool:
    """Whether a tag has a prefix and a type."""
    return len(tag) > 2 and tag[0] in _PREFIXES and tag[1] == "-"


def entities(tags: Tags) -> list[Entity]:
    """Return the entities of a sentence, whatever the scheme, breaks of it included.

    The rule is that of the CoNLL evaluation, which seqeval follows: an entity ends where another
    begins, the type changes or a tag says so; a type that begins with I or E begins all the same.
    """
    found: list[Entity] = []
    before, kind, first = OUTSIDE, "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, its_kind = tag.partition("-")
        if before != OUTSIDE and (_ends(before, prefix) or its_kind != kind):
            found.append((kind, first, place - 1))
        if prefix != OUTSIDE and (
            before == OUTSIDE or its_kind != kind or _ends(before, prefix) or prefix in "BS"
        ):
            first = place
        before, kind = prefix, its_kind
    return found


def _ends(before: str, now: str) -> bool:
    """Whether an entity ends between two tags of the same type."""
    return before in "ES" or now in "BSO"


def scheme_of(sentences: Sequence[Tags]) -> Scheme | None:
    """Tell how entities are written; None where tags are no entities.

    Of the schemes without E and S, the one that fewer sentences break.
    """
    prefixes = {tag[0] for tags in sentences for tag in tags if is_entity_tag(tag)}
    if not prefixes:
        return None
    if prefixes & {"E", "S"}:
        return "BIOES"
    broken = {
        scheme: sum(next(breaks(tags, scheme), None) is not None for tags in sentences)
        for scheme in ("IOB2", "IOB1")
    }
    return "IOB1" if broken["IOB1"] < broken["IOB2"] else "IOB2"


def breaks(tags: Tags, scheme: Scheme) -> Iterator[tuple[int, str]]:
    """Yield the tokens whose tags the scheme doesn't allow there, and what it would expect."""
    for place, expected in enumerate(converted(tags, scheme)):
        if tags[place] != expected:
            yield place, expected


def converted(tags: Tags, scheme: Scheme) -> list[str]:
    """Write a sentence's entities in a scheme."""
    written = [OUTSIDE] * len(tags)
    last_kind, last_end = "", -1
    for kind, first, last in entities(tags):
        follows = kind == last_kind and first == last_end + 1
        written[first : last + 1] = [
            f"{prefix}-{kind}" for prefix in _prefixes(scheme, last - first + 1, follows=follows)
        ]
        last_kind, last_end = kind, last
    return written


def _prefixes(scheme: Scheme, length: int, *, follows: bool) -> str:
    match scheme:
        case "IOB1":
            return "BI"[not follows] + "I" * (length - 1)
        case "IOB2":
            return "B" + "I" * (length - 1)
        case "BIOES":
            return "S" if length == 1 else "B" + "I" * (length - 2) + "E"


def all_tags(kinds: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """Return every tag that a scheme has for these types: a rare one may be in no training row."""
    prefixes = "BIES" if scheme == "BIOES" else "BI"
    return (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in prefixes))
