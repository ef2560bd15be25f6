"""Cut distinct words into pieces with the library, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from .library import text_tokenizer
from .vocabulary import Normalization, Vocabulary

Ids = npt.NDArray[np.unsignedinteger]
Counts = npt.NDArray[np.int64]


# Between words of which any number of pieces may come. BERT isolates a full stop, so no raw word
# holds one, and no other character is normalised into one.
_MARK = "."


class PieceCutter:
    """Cuts raw words as the library does: all ids in a row (T,), and how many each word has (W,).

    All words go to the library as one text: an Encoding object for each would cost far more than
    its pieces.
    """

    def __init__(self, vocabulary: Vocabulary, normalization: Normalization) -> None:
        self._id_dtype = vocabulary.id_dtype
        self._mark_id = vocabulary.ids.get(_MARK, len(vocabulary))
        more_tokens = () if _MARK in vocabulary.ids else (_MARK,)
        self._text_tokenizer = text_tokenizer(vocabulary, normalization, *more_tokens)

    def cut(self, words: Sequence[bytes]) -> tuple[Ids, Counts]:
        """Cut any words but the mark: one may have no piece at all, or turn out to be several."""
        mark = f" {_MARK} ".encode()
        ids = _encode(self._text_tokenizer, b"".join(word + mark for word in words))
        marks = np.flatnonzero(ids == self._mark_id)
        assert len(marks) == len(words)
        return ids[ids != self._mark_id].astype(self._id_dtype), np.diff(marks, prepend=-1) - 1


def _encode(tokenizer: Tokenizer, text: bytes) -> npt.NDArray[np.int64]:
    (encoding,) = tokenizer.encode_batch_fast([text.decode()], add_special_tokens=False)
    return np.array(encoding.ids, np.int64)
