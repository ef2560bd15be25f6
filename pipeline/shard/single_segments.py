"""Documents turned into single segments, for objectives without a sentence pair.

A document's text fills one instance after another, cut between words wherever the length is full.
No instance holds text of two documents, so the last of each is as long as what is left.
"""

from __future__ import annotations

import numpy as np

from ..randomness import KeyedRandom
from .segments import Pairs, draw_target, uniforms
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
    """Place every token of the first `num_documents` in exactly one segment A without a B.

    `continues` must be known.
    """
    assert documents.continues is not None
    longest = settings.max_seq_length - _SPECIAL_TOKENS
    own = len(documents) if num_documents is None else num_documents
    uniform = uniforms(random)
    in_word = documents.continues.tobytes()
    rows: list[tuple[int, int, int]] = []
    start = 0
    for document, end in enumerate(documents.token_ends[:own].tolist()):
        while start < end:
            stop = start + draw_target(uniform, longest, settings.short_seq_prob)
            if stop < end:
                word_start = in_word.rfind(b"\0", start + 1, stop + 1)
                stop = stop if word_start < 0 else word_start
            stop = min(stop, end)
            rows.append((start, stop, document))
            start = stop
    first, last, document = np.array(rows, np.int64).reshape(-1, 3).T
    nothing = np.zeros(len(rows), np.int64)
    identities = documents.identities[document]
    return Pairs(
        a_start=first,
        a_length=last - first,
        b_start=nothing,
        b_length=nothing,
        not_next=None,
        document_a=identities,
        document_b=identities,
    )
