"""Documents turned into pairs of consecutive segments, half of them swapped.

The task of ALBERT (Lan et al. 2020, section 3.1). Here a pair takes as many whole sentences as fit,
so that nothing is truncated and every token of a document is in exactly one instance; and what
stands alone, a document of one sentence, is cut between two of its words instead of being paired
with something that isn't its neighbour.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from ..randomness import KeyedRandom
from .segments import Pairs, draw_target, uniforms, with_short_sentences
from .settings import InstanceSettings
from .tokens import Flags, Offsets, TokenisedDocuments

_SPECIAL_TOKENS = 3


def draw_ordered_pairs(
    documents: TokenisedDocuments,
    settings: InstanceSettings,
    random: KeyedRandom,
    *,
    num_documents: int | None = None,
) -> Pairs:
    """Pair up the text of the first `num_documents`, each token once; `continues` must be known.

    B directly follows A, or, with a probability of one half, A directly follows B. A document of
    one token has an empty segment beside it.
    """
    continues = documents.continues
    assert continues is not None
    longest = settings.max_seq_length - _SPECIAL_TOKENS
    # Half as long, and any two neighbours fit into an instance.
    documents = with_short_sentences(documents, longest // 2)
    own = len(documents) if num_documents is None else num_documents
    rows = _walk(documents, own, longest, settings, random)
    start, cut, stop, document = np.array(rows, np.int64).reshape(-1, 4).T
    alone = np.flatnonzero(cut == stop)
    cut[alone] = _word_start_within(continues, start[alone], stop[alone], random)
    swapped = random.uniform(len(rows)) < 0.5
    identities = documents.identities[document]
    return Pairs(
        a_start=np.where(swapped, cut, start),
        a_length=np.where(swapped, stop - cut, cut - start),
        b_start=np.where(swapped, start, cut),
        b_length=np.where(swapped, cut - start, stop - cut),
        not_next=swapped,
        document_a=identities,
        document_b=identities,
    )


def _walk(
    documents: TokenisedDocuments,
    own: int,
    longest: int,
    settings: InstanceSettings,
    random: KeyedRandom,
) -> list[tuple[int, int, int, int]]:
    """Return (first token, first of the second segment, end, document) of each pair.

    The second segment of a sentence that stands alone is empty.
    """
    uniform = uniforms(random)
    offsets = [0, *documents.sentence_ends.tolist()]
    ends = [0, *documents.document_ends.tolist()]
    rows: list[tuple[int, int, int, int]] = []
    for document in range(own):
        start, end = ends[document], ends[document + 1]
        while start < end:
            target = draw_target(uniform, longest, settings.short_seq_prob)
            fitting = bisect_right(offsets, offsets[start] + target, start + 1, end + 1) - 1
            stop = min(max(fitting, start + 2), end)
            if stop == end - 1:
                # One sentence would be left alone: it comes along, or gets company.
                if offsets[end] - offsets[start] <= longest:
                    stop = end
                elif stop > start + 2:
                    stop -= 1
            cut = start + 1 + int(next(uniform) * (stop - start - 1))
            rows.append((offsets[start], offsets[cut], offsets[stop], document))
            start = stop
    return rows


def _word_start_within(
    continues: Flags, start: Offsets, stop: Offsets, random: KeyedRandom
) -> Offsets:
    """Draw a place between two words of each stretch; in a single word the middle has to do."""
    sizes = stop - start
    owner = np.repeat(np.arange(len(start)), sizes)
    places = np.arange(len(owner)) + (start - (np.cumsum(sizes) - sizes))[owner]
    between = ~continues[places] & (places > start[owner])
    counts = np.bincount(owner[between], minlength=len(start))
    first = np.cumsum(counts) - counts
    # One more, so that there is something to look at beyond the last.
    candidates = np.append(places[between], 0)
    drawn = candidates[first + random.below(counts)]
    return np.where(counts > 0, drawn, start + (sizes + 1) // 2)
