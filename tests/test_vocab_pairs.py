import random
from collections import Counter
from itertools import pairwise
from unittest import mock

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertctl.pipeline.vocab import pairs
from bertctl.pipeline.vocab.pairs import PairRow, symbols_of


def recounted(words: list[list[str]], counts: list[int]) -> dict[tuple[str, str], int]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in zip(words, counts, strict=True):
        for pair in pairwise(word):
            pairs[pair] += count
    return dict(pairs)


def occurring(words: list[list[str]], counts: list[int]) -> Counter[str]:
    often: Counter[str] = Counter()
    for word, count in zip(words, counts, strict=True):
        for symbol in word:
            often[symbol] += count
    return often


def merged_in(word: list[str], left: str, right: str) -> list[str]:
    new: list[str] = []
    for piece in word:
        # A piece just merged is closed: it takes no part in this merge again.
        if new and new[-1] == left and piece == right:
            new[-1] = f"{left}{right}!"
        else:
            new.append(piece)
    return [piece.removesuffix("!") for piece in new]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text("ab", min_size=1, max_size=14), st.integers(1, 9)), max_size=7),
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 5, 1000]),
)
@example([("a" * 13, 3), ("a" * 14, 2)], 0, 4)
def test_counts_are_those_of_counting_anew_after_any_merges(
    text: list[tuple[str, int]], seed: int, at_once: int
) -> None:
    words, counts = [list(word) for word, _ in text], [count for _, count in text]
    spelling = ["a", "b"]
    with mock.patch.object(pairs, "_PLACES_AT_ONCE", at_once):
        row = PairRow(
            np.array([spelling.index(letter) for word in words for letter in word], np.int32),
            len(spelling),
            np.array([len(word) for word in words], np.int64),
            np.array(counts, np.int64),
        )
    chooser = random.Random(seed)
    while True:
        spelt = {
            tuple(spelling[symbol] for symbol in symbols_of(pair)): count
            for pair, count in row.counts.items()
        }
        assert spelt == recounted(words, counts)
        often = {symbol: count for symbol, count in enumerate(row.symbol_counts.tolist()) if count}
        assert often == {
            spelling.index(symbol): count for symbol, count in occurring(words, counts).items()
        }
        if not spelt:
            break
        pair = chooser.choice(sorted(row.counts))
        left, right = (spelling[symbol] for symbol in symbols_of(pair))
        if left + right not in spelling:  # aa + a and a + aa are the same symbol
            spelling.append(left + right)
        before = dict(row.counts)
        change = row.merge(pair, spelling.index(left + right))
        more = {each for each in row.counts if row.counts[each] > before.get(each, 0)}
        less = {each for each in before if row.counts.get(each, 0) < before[each]}
        assert {*change.grown} == more
        assert {*change.fallen} == less
        words = [merged_in(word, left, right) for word in words]


def test_overlapping_pairs_are_merged_from_the_left_however_their_symbol_came_about() -> None:
    # 4 is written first where 0 1 stood, in the middle, then where 2 3 stood, around it.
    symbols = np.array([2, 3, 0, 1, 2, 3], np.int32)
    row = PairRow(symbols, 4, np.array([6], np.int64), np.array([7], np.int64))
    row.merge(0 << 32 | 1, 4)
    row.merge(2 << 32 | 3, 4)
    assert row.counts == {4 << 32 | 4: 14}
    row.merge(4 << 32 | 4, 5)
    assert row.counts == {5 << 32 | 4: 7}
