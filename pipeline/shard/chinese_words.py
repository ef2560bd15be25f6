"""Chinese words in tokenised text, cut by rjieba (the extra `zh`): no space shows where they end.

rjieba sees runs of Han characters only. To BERT each of those is a word, and so a token, of its
own: cutting the text between any two of them changes no token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ..wordpiece.encode import WordPieceEncoder
from .tokens import Flags, Ids, Offsets

_HAN = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f]+)"
)
"""What BERT isolates as a Chinese character (google-research/bert, `_is_chinese_char`)."""
_BORDER, _LINE_END = "\0", "\n"
_BLOCK_CHARACTERS = 1 << 17


def encode_with_words(encoder: WordPieceEncoder, text: str) -> tuple[Ids, Offsets, Flags]:
    """Encode lines as the encoder does, and tell which tokens continue a word.

    Every line of `text` ends. Returns ids (T,), line ends (L,), and (T,) bool. A word is a Chinese
    one of the text, or what the vocabulary's continuing pieces say.
    """
    ids, line_ends, continues = zip(
        *(_encode(encoder, block) for block in _blocks(text)), strict=True
    )
    ids_up_to = np.cumsum([0, *map(len, ids[:-1])])
    line_ends = [ends + start for ends, start in zip(line_ends, ids_up_to, strict=True)]
    return np.concatenate(ids), np.concatenate(line_ends), np.concatenate(continues)


def _blocks(text: str) -> Iterator[str]:
    """Cut text at line ends into blocks, so that its words never lie about all at once."""
    start = 0
    while len(text) - start > _BLOCK_CHARACTERS:
        stop = text.index(_LINE_END, start + _BLOCK_CHARACTERS - 1) + len(_LINE_END)
        yield text[start:stop]
        start = stop
    yield text[start:]


def _encode(encoder: WordPieceEncoder, lines: str) -> tuple[Ids, Offsets, Flags]:
    text, num_words = _marked(lines.replace(_BORDER, ""))  # BERT deletes NULs anyway
    data = text.encode()
    ids, ends = encoder.encode_lines(data.replace(_BORDER.encode(), _LINE_END.encode()))
    in_data = np.frombuffer(data, np.uint8)
    at_border = in_data[(in_data == ord(_BORDER)) | (in_data == ord(_LINE_END))] == ord(_BORDER)
    # Other text and runs of words take turns, with a border between them and between words; a line
    # ends in other text only.
    is_word = np.ones(num_words.sum() + len(num_words) + 1, bool)
    is_word[np.cumsum(np.concatenate(([0], num_words + 1)))] = False
    in_word = is_word[np.cumsum(at_border) - at_border]
    sizes = np.diff(ends, prepend=0)
    continues = np.repeat(in_word, sizes)
    continues[(ends - sizes)[in_word & (sizes > 0)]] = False
    continues |= encoder.vocabulary.is_continuation.take(ids)
    return ids, ends[~at_border], continues


def _marked(text: str) -> tuple[str, Offsets]:
    """Put a border around every Chinese word; also return how many words each run has."""
    import rjieba  # an extra, and a tenth of a second

    stretches = _HAN.split(text)
    runs = stretches[1::2]
    if not runs:
        return text, np.zeros(0, np.int64)
    # rjieba cuts at a line end in any case, and one call is cheaper than one for every run.
    words = _BORDER.join(rjieba.cut(_LINE_END.join(runs)))
    stretches[1::2] = words.split(_BORDER + _LINE_END + _BORDER)
    num_words = np.array([run.count(_BORDER) + 1 for run in stretches[1::2]])
    return _BORDER.join(stretches), num_words
