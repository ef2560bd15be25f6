"""The entity scores of seqeval's default mode, written from its definition.

An entity ends before a tag and begins at one by the tables of the CoNLL-2000 evaluation; a score
counts entities whose type, first and last token are all right. Kept apart from the code on purpose:
it goes by pairs of tags, as seqeval does.
"""

from collections.abc import Sequence

ENDS = {("E", x) for x in "BIESO"} | {("S", x) for x in "BIESO"}
ENDS |= {("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O")}
BEGINS = {(x, "B") for x in "BIESO"} | {(x, "S") for x in "BIESO"}
BEGINS |= {("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")}


def entities_of(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    found: set[tuple[str, int, int]] = set()
    before, kind, first = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        now, _, its = tag.partition("-")
        changes = its != kind
        if before != "O" and ((before, now) in ENDS or changes):
            found.add((kind, first, place - 1))
        if (before, now) in BEGINS or (now != "O" and changes):
            first = place
        before, kind = now, its
    return found


def entity_scores(
    true: Sequence[Sequence[str]], said: Sequence[Sequence[str]]
) -> tuple[float, float, float]:
    """Return precision, recall and F1 over all sentences."""
    sides = [
        {(number, *each) for number, tags in enumerate(some) for each in entities_of(tags)}
        for some in (true, said)
    ]
    both = len(sides[0] & sides[1])
    precision = both / len(sides[1]) if sides[1] else 0.0
    recall = both / len(sides[0]) if sides[0] else 0.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return precision, recall, f1
