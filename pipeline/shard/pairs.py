"""Documents turned into sentence pairs: the algorithm of google-research/bert, its faults mended.

Sentences are gathered until a target length is reached and cut at a random sentence into A and B;
half of the time B is instead drawn from another document, and the sentences it displaced are used
again. Mended: a random B never comes from A's document or a copy of it, and the pairs that can't
have a next sentence (nothing follows A) are made up for, so that the labels stay 50 / 50.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..randomness import KeyedRandom
from .segments import SHORTEST_TARGET, Pairs, with_short_sentences
from .settings import InstanceSettings
from .tokens import Flags, Offsets, TokenisedDocuments

_SPECIAL_TOKENS = 3
_OWES, _COULD_PAY = 1, 2


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
    beginnings = _beginnings(documents, own, max_tokens, settings.short_seq_prob, random)
    first, is_random, unpaired = _walk(beginnings)
    offsets = np.concatenate(([0], documents.sentence_ends))
    cut = beginnings.cut[first]
    a_document = beginnings.document[first]
    b_document, b_first, b_stop = a_document.copy(), cut.copy(), beginnings.next_stop[first]
    wanted = beginnings.target[first] - (offsets[cut] - offsets[first])
    b_document[is_random], b_first[is_random], b_stop[is_random] = _random_segments(
        documents, offsets, a_document[is_random], wanted[is_random], random
    )
    a_start, b_start = offsets[first], offsets[b_first]
    a_cut, a_length, b_cut, b_length = _truncated(
        offsets[cut] - a_start, offsets[b_stop] - b_start, max_tokens, random
    )
    return Pairs(
        a_start=a_start + a_cut,
        a_length=a_length,
        b_start=b_start + b_cut,
        b_length=b_length,
        not_next=is_random,
        document_a=documents.identities[a_document],
        document_b=documents.identities[b_document],
        unpaired=unpaired,
    )


@dataclass(frozen=True)
class _Beginnings:
    """What an instance would be that begins at each of S sentences: all (S,).

    `document`: which one the sentence is of; `end`: where that ends; `target`: how many tokens the
    instance aims at; `wants_random`: the coin; `cut`: where A ends; `next_stop`: where a B that
    follows A ends. Places are sentences.
    """

    document: Offsets
    end: Offsets
    target: Offsets
    wants_random: Flags
    cut: Offsets
    next_stop: Offsets


def _beginnings(
    documents: TokenisedDocuments,
    own: int,
    max_tokens: int,
    short_seq_prob: float,
    random: KeyedRandom,
) -> _Beginnings:
    """Draw for every sentence, whether or not an instance will begin there: for all at once."""
    sentences = np.diff(documents.document_ends, prepend=0)[:own]
    document = np.repeat(np.arange(own), sentences)
    end = np.repeat(documents.document_ends[:own], sentences)
    offsets = np.concatenate(([0], documents.sentence_ends))
    first = np.arange(len(document))
    target = np.full(len(document), max_tokens)
    short = np.flatnonzero(random.uniform(len(document)) < short_seq_prob)
    target[short] = SHORTEST_TARGET + random.below(np.full(len(short), max_tokens - 1))
    wants_random = random.coins(len(document))
    stop = np.searchsorted(offsets, offsets[first] + target).clip(first + 1, end)
    stop += (stop == first + 1) & (stop < end) & ~wants_random
    several = stop - first - 1
    cut = np.where(several > 0, first + 1 + random.below(several), stop)
    # Only where a random B is taken back for a next one may that have no sentence yet.
    next_stop = np.maximum(stop, np.minimum(cut + 1, end))
    return _Beginnings(document, end, target, wants_random, cut, next_stop)


def _walk(beginnings: _Beginnings) -> tuple[Offsets, Flags, int]:
    """Go from each instance to the next: where they begin, which B is random, and what is owed.

    One step of plain Python an instance; where one document ends the next one begins.
    """
    wants_random, is_last = beginnings.wants_random, beginnings.cut == beginnings.end
    is_random = wants_random | is_last
    following = np.where(is_random, beginnings.cut, beginnings.next_stop)
    owes, could_pay = is_last & ~wants_random, wants_random & ~is_last
    # Most places are passed over: a list of all of them would cost more than the walk.
    moves, kinds = following.data, (owes * _OWES + could_pay * _COULD_PAY).astype(np.uint8).data
    firsts: list[int] = []
    paying: list[int] = []
    place = owed = 0
    num_places = len(moves)
    while place < num_places:
        firsts.append(place)
        kind = kinds[place]
        if kind == _OWES:
            # Nothing is left to follow A.
            owed += 1
        elif owed and kind == _COULD_PAY:
            # An earlier pair was random for want of a next sentence: this one makes up for it.
            owed -= 1
            paying.append(place)
            place = int(beginnings.next_stop[place])
            continue
        place = moves[place]
    is_random[paying] = False
    return np.array(firsts, np.int64), is_random[firsts], owed


def _random_segments(
    documents: TokenisedDocuments,
    offsets: Offsets,
    a_document: Offsets,
    wanted: Offsets,
    random: KeyedRandom,
) -> tuple[Offsets, Offsets, Offsets]:
    """Draw a B of about `wanted` tokens for each A from a document of another identity.

    Returns the documents, and the first sentence and the end of each B.
    """
    _, first, run, counts = np.unique(
        documents.identities, return_index=True, return_inverse=True, return_counts=True
    )
    first_same, num_same = first[run][a_document], counts[run][a_document]
    other = random.below(len(documents) - num_same)
    other += np.where(other >= first_same, num_same, 0)
    ends = np.concatenate(([0], documents.document_ends))
    end = ends[other + 1]
    b_first = ends[other] + random.below(end - ends[other])
    stop = np.searchsorted(offsets, offsets[b_first] + wanted).clip(b_first + 1, end)
    return other, b_first, stop


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
