"""Rows turned into what BERT reads: `[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`, cut to fit.

N rows, T tokens in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.vocabulary import MASK
from .rows import Row

Ids = npt.NDArray[np.unsignedinteger]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """N sequences, special tokens included; `segment_a_length`: of [CLS], A and [SEP]."""

    ids: tuple[Ids, ...]
    segment_a_lengths: Ints
    is_cut: npt.NDArray[np.bool_]
    """(N,) whether some of the text is left out"""
    is_empty: npt.NDArray[np.bool_]
    """(N,) whether a text comes to no token"""

    @property
    def lengths(self) -> Ints:
        """(N,) int64: tokens of each."""
        return np.array([len(each) for each in self.ids], np.int64)


def encode_rows(
    encoder: WordPieceEncoder, rows: Sequence[Row], *, max_seq_length: int, with_masks: bool
) -> Encoded:
    """Encode texts or pairs; of a pair that is too long the longer text is cut first.

    A string like `[SEP]` in a text is ordinary text, and so is `[MASK]` unless it is asked for
    `with_masks`.
    """
    encode = _encode_with_masks if with_masks else _encode
    first = encode(encoder, [row.text for row in rows])
    second = encode(encoder, [row.text_pair or "" for row in rows])
    vocabulary = encoder.vocabulary
    cls, sep = (
        np.array([each], vocabulary.id_dtype) for each in (vocabulary.cls_id, vocabulary.sep_id)
    )
    ids: list[Ids] = []
    a_lengths: list[int] = []
    is_cut: list[bool] = []
    is_empty: list[bool] = []
    for row, a, b in zip(rows, first, second, strict=True):
        is_pair = row.text_pair is not None
        room = max_seq_length - (3 if is_pair else 2)
        # As if token after token were taken from the longer, from B where they are equal.
        kept_b = min(len(b), max(room // 2, room - len(a)))
        kept_a = min(len(a), room - kept_b)
        ids.append(np.concatenate([cls, a[:kept_a], sep, *([b[:kept_b], sep] if is_pair else [])]))
        a_lengths.append(kept_a + 2)
        is_cut.append(kept_a + kept_b < len(a) + len(b))
        is_empty.append(not len(a) or (is_pair and not len(b)))
    return Encoded(tuple(ids), np.array(a_lengths), np.array(is_cut), np.array(is_empty))


def _encode(encoder: WordPieceEncoder, texts: Sequence[str]) -> list[Ids]:
    ids, ends = encoder.encode_texts(texts)
    return np.split(ids, ends[:-1]) if texts else []


def _encode_with_masks(encoder: WordPieceEncoder, texts: Sequence[str]) -> list[Ids]:
    """Encode what stands around each `[MASK]`, and put the token itself between."""
    parts = [text.split(MASK) for text in texts]
    encoded = iter(_encode(encoder, [each for some in parts for each in some]))
    mask = np.array([encoder.vocabulary.mask_id], encoder.vocabulary.id_dtype)
    joined: list[Ids] = []
    for some in parts:
        pieces = [next(encoded) for _ in some]
        joined.append(
            np.concatenate([pieces[0], *(x for each in pieces[1:] for x in (mask, each))])
        )
    return joined
