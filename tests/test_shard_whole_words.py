import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.masking import MaskSettings, Predictions, hide
from bertctl.pipeline.shard.whole_words import choose_words

MASK_ID, VOCAB_SIZE = 4, 300
REPLACEABLE = np.arange(5, VOCAB_SIZE, dtype=np.uint16)

# A segment as the sizes of its words; the first may have lost its front to truncation.
SEGMENT = st.tuples(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.booleans())
INSTANCES = st.lists(st.tuples(SEGMENT, SEGMENT), min_size=1, max_size=7)


class Table:
    """Instances laid out for `choose_words`, and their words spelt out one by one."""

    def __init__(self, instances: list) -> None:
        self.words: list[list[list[int]]] = []
        rows: list[list[bool]] = []
        segment_a: list[int] = []
        for a, b in instances:
            continues, words = [True], []
            for sizes, front_is_cut in (a, b):
                for number, size in enumerate(sizes):
                    words.append(list(range(len(continues), len(continues) + size)))
                    continues += [number == 0 and front_is_cut, *[True] * (size - 1)]
                # Whatever a special token says, it makes no difference.
                continues.append(len(words) % 2 == 0)
                if len(segment_a) == len(rows):
                    segment_a.append(len(continues))
            rows.append(continues)
            self.words.append(words)
        self.lengths = np.array([len(row) for row in rows])
        self.segment_a_length = np.array(segment_a)
        self.continues = np.concatenate(rows).astype(bool)

    def choose(self, budgets: np.ndarray, cap: int | None = None, seed: int = 1) -> Predictions:
        return choose_words(
            self.continues.copy(),
            self.segment_a_length,
            self.lengths,
            budgets,
            KeyedRandom(seed, "words"),
            cap=cap,
        )


def chosen_words(chosen: Predictions, rows: int) -> list[list[list[int]]]:
    assert chosen.word_sizes is not None
    found: list[list[list[int]]] = [[] for _ in range(rows)]
    for part in np.split(np.arange(len(chosen.rows)), np.cumsum(chosen.word_sizes)[:-1]):
        (row,) = set(chosen.rows[part].tolist())
        found[row].append(chosen.columns[part].tolist())
    return found


@settings(deadline=None)
@given(INSTANCES, st.floats(0.05, 0.9), st.integers(0, 2**32))
def test_words_are_chosen_whole_whatever_truncation_cut_and_never_across_a_separator(
    instances: list, prob: float, seed: int
) -> None:
    table = Table(instances)
    masks = MaskSettings(prob, None, MASK_ID, REPLACEABLE)
    budgets = masks.num_predictions(table.lengths, table.lengths - 3)
    found = chosen_words(table.choose(budgets, seed=seed), len(instances))
    for words, chosen, budget in zip(table.words, found, budgets.tolist(), strict=True):
        assert [word for word in words if word in chosen] == chosen
        sizes = sorted(map(len, words))
        num_predictions = sum(map(len, chosen))
        if sizes[0] > budget:
            assert list(map(len, chosen)) == sizes[:1]
            continue
        assert 1 <= num_predictions <= budget
        # Nothing that is left would still fit.
        left = [len(word) for word in words if word not in chosen]
        assert not left or min(left) > budget - num_predictions


def test_number_of_predictions_is_exact_where_words_of_one_piece_fill_it_up() -> None:
    random = np.random.default_rng(3)
    instances = [
        (([2, 1, 3, 1, *random.integers(1, 4, 20)], False), ([1, 1, 1, 1, 4, 1, 1], False))
        for _ in range(400)
    ]
    table = Table(instances)
    masks = MaskSettings(0.15, None, MASK_ID, REPLACEABLE)
    budgets = masks.num_predictions(table.lengths, table.lengths - 3)
    chosen = table.choose(budgets)
    assert np.bincount(chosen.rows).tolist() == [max(1, round(0.15 * n)) for n in table.lengths]


def test_words_are_chosen_in_random_order_each_that_still_fits() -> None:
    rows, budget, sizes = 30_000, 5, [3, 1, 2, 1, 4, 2]
    table = Table([((sizes[:4], False), (sizes[4:], False))] * rows)
    found = chosen_words(table.choose(np.full(rows, budget)), rows)
    reference = np.random.default_rng(1)
    counts = np.zeros((2, len(sizes)))
    for row in range(rows):
        counts[0] += [word in found[row] for word in table.words[row]]
        left = budget
        for word in reference.permutation(len(sizes)):
            if sizes[word] <= left:
                left -= sizes[word]
                counts[1, word] += 1
    difference = np.abs(counts[0] - counts[1])
    assert (difference < 4.5 * np.sqrt(rows / 2)).all(), counts


def test_instance_of_long_words_only_has_one_predicted_up_to_the_cap() -> None:
    table = Table([(([7, 5], False), ([6], True)), (([9], False), ([8], False))])
    whole = table.choose(np.array([2, 3]))
    assert chosen_words(whole, 2) == [[list(range(8, 13))], [list(range(11, 19))]]
    capped = table.choose(np.array([2, 3]), cap=3)
    assert chosen_words(capped, 2) == [[[8, 9, 10]], [[11, 12, 13]]]


@pytest.mark.parametrize("without_b", [False, True])
def test_segments_may_be_empty_or_missing(without_b: bool) -> None:
    # [CLS] x ##x [SEP], with an empty second segment or with none.
    lengths = np.array([4 if without_b else 5])
    chosen = choose_words(
        np.array([False, False, True, False, False][: lengths[0]]),
        np.array([4]),
        lengths,
        np.array([2]),
        KeyedRandom(1),
    )
    assert chosen.columns.tolist() == [1, 2]


def test_pieces_of_a_word_are_treated_alike_80_10_10_and_replaced_one_by_one() -> None:
    rows, sizes = 40_000, [3, 1, 2, 4, 1, 2, 3, 1, 2, 2]
    table = Table([((sizes, False), (sizes, False))] * rows)
    masks = MaskSettings(0.15, None, MASK_ID, REPLACEABLE)
    budgets = masks.num_predictions(table.lengths, table.lengths - 3)
    chosen = table.choose(budgets)
    ids = np.full(table.lengths.sum(), 5, np.uint16)
    starts_of_rows = np.cumsum(table.lengths) - table.lengths
    _, shown = hide(ids, starts_of_rows, chosen, masks, KeyedRandom(1, "what"))
    assert chosen.word_sizes is not None
    # What stood there is drawn as the random token once in 295 times: it then looks kept.
    fate = np.select([shown == MASK_ID, shown == 5], [0, 2], 1)
    starts = np.cumsum(chosen.word_sizes) - chosen.word_sizes
    total = len(starts)
    assert total > 10**5
    masked = np.add.reduceat(fate == 0, starts)
    assert set((masked / chosen.word_sizes).tolist()) == {0, 1}
    mixed = (np.minimum.reduceat(fate, starts) != np.maximum.reduceat(fate, starts)).mean()
    assert mixed < 0.002
    for kind, share in ((0, 0.8), (1, 0.1), (2, 0.1)):
        sigma = np.sqrt(share * (1 - share) / total)
        assert abs((np.minimum.reduceat(fate, starts) == kind).mean() - share) < 5 * sigma + 0.001
    # Random pieces of one word differ from each other.
    pair = starts[(chosen.word_sizes == 2) & (np.minimum.reduceat(fate, starts) == 1)]
    alike = shown[pair] == shown[pair + 1]
    assert alike.mean() < 0.02
