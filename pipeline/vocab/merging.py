"""Counted words turned into a WordPiece vocabulary, the same one every time.

Pieces begin as characters; the best pair of neighbours becomes a piece, again and again. What the
field trains under the name of WordPiece are byte-pair merges (Sennrich et al. 2016) written as
WordPiece, a piece that continues a word beginning with `##`; the original (Schuster and Nakajima
2012) differs in which pair is the best: see `ranking`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import BadInput
from ..wordpiece.vocabulary import CONTINUATION, SPECIAL_TOKENS
from .lesson import Lesson
from .pairs import PairRow, Symbols, symbols_of
from .ranking import Algorithm, ranking


def train_wordpiece(
    lesson: Lesson,
    *,
    vocab_size: int,
    min_frequency: int,
    algorithm: Algorithm = "bpe",
    special_tokens: Sequence[str] = (),
    unused_tokens: int = 0,
) -> list[str]:
    """Return the tokens in the order of their ids; fewer than asked where the text gives no more.

    The order: BERT's special tokens with `[PAD]` first, the user's own, `[unused0]` …, the
    alphabet, the alphabet continuing a word, the merges from the first to the last.

    Raises:
        BadInput: the special tokens and the alphabet alone are more than `vocab_size`.
    """
    characters = [chr(each) for each in lesson.alphabet.tolist()]
    characters += [CONTINUATION + chr(each) for each in lesson.continuing.tolist()]
    tokens = [*leading_tokens(special_tokens, unused_tokens), *characters]
    if len(tokens) > vocab_size:
        raise BadInput(
            f"--vocab-size {vocab_size:,} is smaller than what has to be in it: "
            f"{len(lesson.alphabet):,} characters, {len(lesson.continuing):,} of them again as "
            f"## pieces, and {len(tokens) - len(characters):,} special tokens.",
            hint=f"Give --vocab-size {len(tokens):,} or more, or a smaller --limit-alphabet.",
        )
    for piece in _merges(lesson, characters, algorithm, min_frequency):
        if len(tokens) == vocab_size:
            break
        tokens.append(piece)
    return tokens


def leading_tokens(special_tokens: Sequence[str], unused_tokens: int) -> list[str]:
    """Return the tokens that stand before those of the text."""
    unused = [f"[unused{number}]" for number in range(unused_tokens)]
    return [*SPECIAL_TOKENS, *special_tokens, *unused]


def _merges(
    lesson: Lesson, characters: Sequence[str], algorithm: Algorithm, min_frequency: int
) -> Iterator[str]:
    """Yield new pieces, the best pair's first, as long as a pair comes often enough."""
    row = PairRow(_symbols(lesson), len(characters), lesson.words.lengths, lesson.words.counts)
    pieces = list(characters)
    symbol_of = {piece: symbol for symbol, piece in enumerate(pieces)}
    ranked = ranking(algorithm, row, pieces, min_frequency)
    while (pair := ranked.best()) is not None:
        left, right = symbols_of(pair)
        piece = pieces[left] + pieces[right].removeprefix(CONTINUATION)
        # Two merges may spell the same piece: ab + c and a + bc.
        merged = symbol_of.setdefault(piece, len(pieces))
        is_new = merged == len(pieces)
        if is_new:
            pieces.append(piece)
        ranked.update(row.merge(pair, merged))
        if is_new:
            yield piece


def _symbols(lesson: Lesson) -> Symbols:
    """Return the symbol of each character of the words (N,).

    A character that is ever part of a longer word has two, wherever in the word it stood: other
    texts hold other words. Most CJK characters and punctuation marks have one.
    """
    words = lesson.words
    symbols = len(lesson.alphabet) + np.searchsorted(lesson.continuing, words.code_points)
    symbols[words.starts] = np.searchsorted(lesson.alphabet, words.code_points[words.starts])
    return symbols.astype(np.int32)
