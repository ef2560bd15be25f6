"""Counted words turned into a WordPiece vocabulary, the same one every time.

What the field trains under the name of WordPiece are byte-pair merges (Sennrich et al. 2016) over
characters, written as WordPiece: a piece that continues a word begins with `##`. The pair that
comes most often is merged; of several, the first in the order of the pieces' text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import BadInput
from ..wordpiece.vocabulary import (
    CONTINUATION,
    MAX_WORD_CHARACTERS,
    SPECIAL_TOKENS,
    check_special_tokens,
)
from .counting import WordCounts
from .pairs import PairRow, symbols_of

ALPHABET_COVERAGE = 0.9995
"""Of all characters of the text: Chinese keeps its thousands, and no emoji crowds out a word."""

_FLOOR_FACTOR = 8

CodePoints = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


class Spelled(NamedTuple):
    """Words as code points (N,), one word after the other; lengths and counts (W,) int64."""

    code_points: CodePoints
    lengths: Ints
    counts: Ints


def train_wordpiece(
    counted: WordCounts,
    *,
    vocab_size: int,
    min_frequency: int,
    limit_alphabet: int | Literal["auto"],
    special_tokens: Sequence[str] = (),
    unused_tokens: int = 0,
) -> list[str]:
    """Return the tokens in the order of their ids; fewer than asked where the text gives no more.

    The order: BERT's special tokens with `[PAD]` first, the user's own, `[unused0]` …, the
    alphabet, the alphabet continuing a word, the merges from the first to the last. A word with a
    character outside the alphabet is [UNK] anyway, so nothing is learnt from it.

    Raises:
        BadInput: the special tokens and the alphabet alone are more than `vocab_size`.
    """
    check_special_tokens(special_tokens)
    spelled = spell(counted)
    alphabet = choose_alphabet(spelled, limit_alphabet)
    spelled = _only(spelled, alphabet)
    symbols, characters = _symbols(spelled, alphabet)
    unused = [f"[unused{number}]" for number in range(unused_tokens)]
    tokens = [*SPECIAL_TOKENS, *special_tokens, *unused, *characters]
    if len(tokens) > vocab_size:
        raise BadInput(
            f"--vocab-size {vocab_size:,} is smaller than what has to be in it: "
            f"{len(alphabet):,} characters, {len(characters) - len(alphabet):,} of them again as "
            f"## pieces, and {len(tokens) - len(characters):,} special tokens.",
            hint=f"Give --vocab-size {len(tokens):,} or more, or a smaller --limit-alphabet.",
        )
    row = PairRow(symbols, len(characters), spelled.lengths, spelled.counts)
    for piece in _merges(row, characters, min_frequency):
        if len(tokens) == vocab_size:
            break
        tokens.append(piece)
    return tokens


def choose_alphabet(spelled: Spelled, limit: int | Literal["auto"]) -> CodePoints:
    """Return the most frequent characters, `limit` or enough for 99.95 % of the text, sorted."""
    often = np.bincount(spelled.code_points, np.repeat(spelled.counts, spelled.lengths))
    present = np.flatnonzero(often)
    ranked = present[np.argsort(-often[present], kind="stable")]
    if limit == "auto":
        covered = np.cumsum(often[ranked])
        enough = ALPHABET_COVERAGE * covered[-1] if len(covered) else 0
        limit = int(np.searchsorted(covered, enough)) + 1
    return np.sort(ranked[:limit]).astype(np.uint32)


def score(count: int) -> int:
    """Return what a pair is ranked by; the greatest is merged next."""
    return count


def spell(counted: WordCounts) -> Spelled:
    """Write counted words as code points."""
    words = counted.words.to_pylist()
    code_points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    return Spelled(code_points, lengths, counted.counts.to_numpy())


def _only(spelled: Spelled, alphabet: CodePoints) -> Spelled:
    """Keep words that WordPiece can cut: all of the alphabet, and not too long."""
    known = np.isin(spelled.code_points, alphabet)
    starts = np.cumsum(spelled.lengths) - spelled.lengths
    num_known = np.add.reduceat(known, starts, dtype=np.int64) if len(starts) else starts
    keep = (num_known == spelled.lengths) & (spelled.lengths <= MAX_WORD_CHARACTERS)
    return Spelled(
        spelled.code_points[np.repeat(keep, spelled.lengths)],
        spelled.lengths[keep],
        spelled.counts[keep],
    )


def _symbols(spelled: Spelled, alphabet: CodePoints) -> tuple[Ints, list[str]]:
    """Return the symbol of each character of the words (N,), and what each symbol is as a piece.

    A character that is ever part of a longer word has two pieces, wherever in the word it stood:
    other texts hold other words. Most CJK characters and punctuation marks have one.
    """
    starts = np.zeros(len(spelled.code_points), bool)
    starts[np.cumsum(spelled.lengths) - spelled.lengths] = True
    in_longer = np.repeat(spelled.lengths > 1, spelled.lengths)
    continuing = np.unique(spelled.code_points[in_longer])
    symbols = np.where(
        starts,
        np.searchsorted(alphabet, spelled.code_points),
        len(alphabet) + np.searchsorted(continuing, spelled.code_points),
    )
    pieces = [chr(each) for each in alphabet.tolist()]
    pieces += [CONTINUATION + chr(each) for each in continuing.tolist()]
    return symbols, pieces


def _merges(row: PairRow, characters: Sequence[str], min_frequency: int) -> Iterator[str]:
    """Yield new pieces, the best pair's first, as long as a pair comes often enough."""
    pieces = list(characters)
    symbol_of = {piece: symbol for symbol, piece in enumerate(pieces)}

    def ranked(pair: int) -> tuple[int, str, str, int]:
        left, right = symbols_of(pair)
        return -score(row.counts[pair]), pieces[left], pieces[right], pair

    # Most pairs are rare: one below the floor stays out of the heap until nothing above is left.
    floor = 1 + max(row.counts.values(), default=0)
    while floor > min_frequency:
        floor = max(min_frequency, floor // _FLOOR_FACTOR)
        heap = [ranked(pair) for pair, count in row.counts.items() if count >= floor]
        heapify(heap)
        while heap:
            entry = heappop(heap)
            pair = entry[-1]
            if row.counts.get(pair, 0) < floor:
                continue
            # A pair whose count has fallen since takes its new rank; one that has grown has it.
            if (now := ranked(pair)) != entry:
                heappush(heap, now)
                continue
            left, right = symbols_of(pair)
            piece = pieces[left] + pieces[right].removeprefix(CONTINUATION)
            # Two merges may spell the same piece: ab + c and a + bc.
            merged = symbol_of.setdefault(piece, len(pieces))
            is_new = merged == len(pieces)
            if is_new:
                pieces.append(piece)
            for grown in row.merge(pair, merged):
                if row.counts[grown] >= floor:
                    heappush(heap, ranked(grown))
            if is_new:
                yield piece
