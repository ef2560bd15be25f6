"""Documents turned into single segments, for objectives without a sentence pair.

The DOC-SENTENCES of RoBERTa (Liu et al. 2019, section 4.2): as many whole sentences of a document
as fit, and never those of another.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from ..randomness import KeyedRandom
from .segments import Pairs, draw_target, uniforms, with_short_sentences
from .settings import InstanceSettings
from .tokens import TokenisedDocuments

_SPECIAL_TOKENS = 2


def draw_single_segments(
    documents: TokenisedDocuments,
    settings: InstanceSettings,
    random: KeyedRandom,
    *,
    num_documents: int | None = None,
) -> Pairs:
    """Place every token of the first `num_documents` in exactly one segment A without a B."""
    longest = settings.max_seq_length - _SPECIAL_TOKENS
    documents = with_short_sentences(documents, longest)
    own = len(documents) if num_documents is None else num_documents
    uniform = uniforms(random)
    offsets = [0, *documents.sentence_ends.tolist()]
    ends = [0, *documents.document_ends.tolist()]
    rows: list[tuple[int, int, int]] = []
    for document in range(own):
        start, end = ends[document], ends[document + 1]
        while start < end:
            target = draw_target(uniform, longest, settings.short_seq_prob)
            fitting = bisect_right(offsets, offsets[start] + target, start + 1, end + 1) - 1
            stop = max(fitting, start + 1)
            rows.append((offsets[start], offsets[stop], document))
            start = stop
    start, stop, document = np.array(rows, np.int64).reshape(-1, 3).T
    nothing = np.zeros(len(rows), np.int64)
    identities = documents.identities[document]
    return Pairs(
        a_start=start,
        a_length=stop - start,
        b_start=nothing,
        b_length=nothing,
        not_next=None,
        document_a=identities,
        document_b=identities,
    )
