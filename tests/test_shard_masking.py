from dataclasses import replace

import numpy as np
import pytest

from bertctl.pipeline.corpus.settings import SentenceSettings
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.masking import MaskSettings, choose_tokens, hide
from bertctl.pipeline.shard.settings import InstanceSettings, check_instance_settings

MASK_ID, VOCAB_SIZE = 4, 300
MASKS = MaskSettings(
    masked_lm_prob=0.15,
    max_predictions_per_seq=None,
    mask_id=MASK_ID,
    replaceable_ids=np.arange(5, VOCAB_SIZE, dtype=np.uint16),
)


def make_lengths(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    a_length, b_length = random.integers(1, 60, (2, rows))
    return a_length + 2, a_length + b_length + 3


def test_number_of_predictions_is_the_rounded_share_of_each_length() -> None:
    segment_a, lengths = make_lengths(500)
    counts = MASKS.num_predictions(lengths, lengths - 3)
    chosen = choose_tokens(segment_a, lengths - 3, counts, KeyedRandom(1, "masks"))
    expected = [max(1, round(0.15 * int(length))) for length in lengths]
    assert np.bincount(chosen.rows, minlength=500).tolist() == expected


def test_cap_on_predictions_is_kept() -> None:
    masks = MaskSettings(0.15, 3, MASK_ID, MASKS.replaceable_ids)
    lengths = np.array([5, 20, 128])
    assert masks.num_predictions(lengths, lengths - 3).tolist() == [1, 3, 3]


def test_positions_are_different_ascending_and_never_special() -> None:
    segment_a, lengths = make_lengths(2000)
    counts = np.minimum(lengths - 3, np.rint(0.6 * lengths)).astype(np.int64)
    chosen = choose_tokens(segment_a, lengths - 3, counts, KeyedRandom(1, "masks"))
    rows, columns = chosen.rows, chosen.columns
    assert (np.diff(rows * 1000 + columns) > 0).all()
    assert (columns >= 1).all()
    assert (columns != segment_a[rows] - 1).all()
    assert (columns < lengths[rows] - 1).all()


def test_every_ordinary_position_is_equally_likely() -> None:
    rows = 40_000
    segment_a, candidates = np.full(rows, 7), np.full(rows, 13)
    chosen = choose_tokens(segment_a, candidates, np.full(rows, 4), KeyedRandom(1, "masks"))
    counts = np.bincount(chosen.columns, minlength=16)
    assert (counts[[0, 6, 15]] == 0).all()
    ordinary = np.delete(counts, [0, 6, 15])
    share = 4 / 13
    sigma = np.sqrt(rows * share * (1 - share))
    assert (np.abs(ordinary - rows * share) < 5 * sigma).all()


@pytest.mark.parametrize(("mask", "random_token"), [(0.8, 0.1), (0.55, 0.3), (0.7, 0.3), (0, 0)])
def test_masks_are_80_10_10_or_as_asked_for_and_random_words_uniform(
    mask: float, random_token: float
) -> None:
    rows, width = 9000, 90
    random = np.random.default_rng(2)
    ids = random.integers(5, VOCAB_SIZE, (rows, width)).astype(np.uint16)
    before = ids.copy()
    segment_a, lengths = np.full(rows, 40), np.full(rows, width)
    masks = MaskSettings(0.15, None, MASK_ID, MASKS.replaceable_ids, mask, random_token)
    counts = masks.num_predictions(lengths, lengths - 3)
    chosen = choose_tokens(segment_a, lengths - 3, counts, KeyedRandom(1, "where"))
    starts = np.arange(len(ids)) * ids.shape[1]
    original, now = hide(ids.reshape(-1), starts, chosen, masks, KeyedRandom(1, "what"))
    total = len(chosen.rows)
    assert total > 10**5
    assert (original == before[chosen.rows, chosen.columns]).all()
    shown = ids[chosen.rows, chosen.columns]
    assert (shown == now).all()
    masked, kept = (shown == MASK_ID).sum(), (shown == original).sum()
    words = VOCAB_SIZE - 5
    for count, share in (
        (masked, mask),
        (kept, 1 - mask - random_token + random_token / words),
        (total - masked - kept, random_token * (1 - 1 / words)),
    ):
        assert abs(count - total * share) <= 4.5 * np.sqrt(total * share * (1 - share)) + 1e-6
    drawn = np.bincount(shown[(shown != MASK_ID) & (shown != original)], minlength=VOCAB_SIZE)
    assert (drawn[:5] == 0).all()
    if random_token:
        expected = drawn.sum() / words
        z = ((drawn[5:] - expected) ** 2 / expected).sum()
        assert abs(z - words) < 5 * np.sqrt(2 * words)
    # Scattering the original ids back gives the text; nothing else was touched.
    ids[chosen.rows, chosen.columns] = original
    assert (ids == before).all()


def test_shares_of_masked_and_random_tokens_beyond_one_are_refused() -> None:
    most = InstanceSettings(mask_token_prob=0.7, random_token_prob=0.3)
    check_instance_settings(most, SentenceSettings())
    with pytest.raises(BadInput, match=r"make 1\.1; expected at most 1"):
        check_instance_settings(replace(most, mask_token_prob=0.8), SentenceSettings())
