"""Documents turned into sentence pairs: the algorithm of google-research/bert, its faults mended.

Sentences are gathered until a target length is reached and cut at a random sentence into A and B;
half of the time B is instead drawn from another document, and the sentences it displaced are used
again. Mended: a random B never comes from A's document or a copy of it, and the pairs that can't
have a next sentence (nothing follows A) are made up for, so that the labels stay 50 / 50.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from ..randomness import KeyedRandom
from .segments import Pairs, draw_target, uniforms, with_short_sentences
from .settings import InstanceSettings
from .tokens import Keys, Offsets, TokenisedDocuments

_SPECIAL_TOKENS = 3


def draw_pairs(
    documents: TokenisedDocuments,
    settings: InstanceSettings,
    random: KeyedRandom,
    *,
    num_documents: int | None = None,
) -> Pairs:
    """Pair up every sentence of the documents once, as an A or as the B that follows one.

    `documents` holds at least two identities, with equal ones side by side. Only the first
    `num_documents` are paired up; the others are there for a random B to be drawn from.
    """
    max_tokens = settings.max_seq_length - _SPECIAL_TOKENS
    documents = with_short_sentences(documents, max_tokens)
    own = len(documents) if num_documents is None else num_documents
    rows, unpaired = _walk(documents, own, settings, random)
    table = np.array(rows, np.int64).reshape(-1, 6)
    starts = np.concatenate(([0], documents.sentence_ends))
    a_first, a_stop, b_first, b_stop, a_document, b_document = table.T
    a_start, b_start = starts[a_first], starts[b_first]
    a_cut, a_length, b_cut, b_length = _truncated(
        starts[a_stop] - a_start, starts[b_stop] - b_start, max_tokens, random
    )
    return Pairs(
        a_start=a_start + a_cut,
        a_length=a_length,
        b_start=b_start + b_cut,
        b_length=b_length,
        not_next=a_document != b_document,
        document_a=documents.identities[a_document],
        document_b=documents.identities[b_document],
        unpaired=unpaired,
    )


def _walk(
    documents: TokenisedDocuments, own: int, settings: InstanceSettings, random: KeyedRandom
) -> tuple[list[tuple[int, int, int, int, int, int]], int]:
    """Return (A's first and last sentence, B's, their documents) for each pair.

    One step of plain Python an instance, over sentence offsets: tokens are never touched here.
    """
    uniform = uniforms(random)
    max_tokens = settings.max_seq_length - _SPECIAL_TOKENS
    short_seq_prob = settings.short_seq_prob
    offsets = [0, *documents.sentence_ends.tolist()]
    ends = [0, *documents.document_ends.tolist()]
    first_same, num_same = _runs(documents.identities)
    total = len(documents)
    rows: list[tuple[int, int, int, int, int, int]] = []
    owed = 0
    for document in range(own):
        start, end = ends[document], ends[document + 1]
        while start < end:
            target = draw_target(uniform, max_tokens, short_seq_prob)
            stop = bisect_left(offsets, offsets[start] + target, start + 1, end)
            wants_random = next(uniform) < 0.5
            if stop == start + 1 < end and not wants_random:
                stop += 1
            cut = stop
            if stop > start + 1:
                cut = start + 1 + int(next(uniform) * (stop - start - 1))
            is_random = wants_random or cut == end
            if is_random and not wants_random:
                owed += 1
            elif wants_random and owed and cut < end:
                # An earlier pair was random for want of a next sentence: this one makes up for it.
                owed -= 1
                is_random = False
                stop = max(stop, cut + 1)
            if not is_random:
                rows.append((start, cut, cut, stop, document, document))
                start = stop
                continue
            other = int(next(uniform) * (total - num_same[document]))
            if other >= first_same[document]:
                other += num_same[document]
            b_first, b_end = ends[other], ends[other + 1]
            b_first += int(next(uniform) * (b_end - b_first))
            wanted = target - (offsets[cut] - offsets[start])
            b_stop = bisect_left(offsets, offsets[b_first] + wanted, b_first + 1, b_end)
            rows.append((start, cut, b_first, b_stop, document, other))
            start = cut
    return rows, owed


def _runs(identities: Keys) -> tuple[list[int], list[int]]:
    """Return, for each document, where its run of equal identities begins and how long it is."""
    _, first, run, counts = np.unique(
        identities, return_index=True, return_inverse=True, return_counts=True
    )
    return first[run].tolist(), counts[run].tolist()


def _truncated(
    a_length: Offsets, b_length: Offsets, longest: int, random: KeyedRandom
) -> tuple[Offsets, Offsets, Offsets, Offsets]:
    """Take tokens off the longer segment, one by one and from either end at random.

    Returns, for A and for B, how many are taken off the front and how many stay.
    """
    excess = np.maximum(a_length + b_length - longest, 0)
    # The longer one gives until they are equal; then they take turns, B first.
    from_longer = np.minimum(excess, np.abs(a_length - b_length))
    left = excess - from_longer
    a_off = np.where(a_length > b_length, from_longer, 0) + left // 2
    b_off = np.where(a_length > b_length, 0, from_longer) + (left + 1) // 2
    return (
        random.binomial_half(a_off),
        a_length - a_off,
        random.binomial_half(b_off),
        b_length - b_off,
    )
