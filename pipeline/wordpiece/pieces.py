"""Cut distinct words into pieces with the library, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, pre_tokenizers

from .library import library_model, text_tokenizer
from .vocabulary import Normalization, Vocabulary

Ids = npt.NDArray[np.unsignedinteger]
Counts = npt.NDArray[np.int64]


class PieceCutter:
    """Cuts raw words as the library does: all ids in a row (T,), and how many each word has (W,).

    One text goes into each call of the library where that is exact: an Encoding object for every
    word would cost six times as much as the pieces.
    """

    def __init__(self, vocabulary: Vocabulary, normalization: Normalization) -> None:
        self._id_dtype = vocabulary.id_dtype
        self._is_continuation = vocabulary.is_continuation
        self._text_tokenizer = text_tokenizer(vocabulary, normalization)
        self._word_tokenizer = Tokenizer(library_model(vocabulary.ids))
        self._word_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def cut_plain(self, words: Sequence[bytes]) -> tuple[Ids, Counts]:
        """Cut words that normalisation leaves alone: each has a first piece, then `##` pieces."""
        text = b" ".join(words).decode("ascii")
        (encoding,) = self._word_tokenizer.encode_batch_fast([text], add_special_tokens=False)
        ids = np.array(encoding.ids, self._id_dtype)
        firsts = np.flatnonzero(~self._is_continuation[ids])
        assert len(firsts) == len(words)
        return ids, np.diff(firsts, append=len(ids))

    def cut_any(self, words: Sequence[bytes]) -> tuple[Ids, Counts]:
        """Cut any words: one may have no piece at all, or turn out to be several."""
        texts = [word.decode() for word in words]
        encodings = self._text_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        counts = np.array([len(each) for each in ids], np.int64)
        return np.array([id for each in ids for id in each], self._id_dtype), counts
