import numpy as np

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.masking import NO_POSITION, MaskSettings, choose_positions, hide

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
    counts = MASKS.num_predictions(lengths)
    positions = choose_positions(segment_a, lengths, counts, KeyedRandom(1, "masks"))
    expected = [max(1, round(0.15 * int(length))) for length in lengths]
    assert ((positions != NO_POSITION).sum(axis=1) == expected).all()


def test_cap_on_predictions_is_kept() -> None:
    masks = MaskSettings(0.15, 3, MASK_ID, MASKS.replaceable_ids)
    assert masks.num_predictions(np.array([5, 20, 128])).tolist() == [1, 3, 3]


def test_positions_are_different_ascending_and_never_special() -> None:
    segment_a, lengths = make_lengths(2000)
    counts = np.minimum(lengths - 3, np.rint(0.6 * lengths)).astype(np.int64)
    positions = choose_positions(segment_a, lengths, counts, KeyedRandom(1, "masks"))
    real = positions != NO_POSITION
    following = real[:, 1:]
    assert (positions[:, :-1] < positions[:, 1:])[following].all()
    assert (positions[real] >= 1).all()
    assert (positions != (segment_a - 1)[:, None]).all()
    assert (np.where(real, positions, 0) < (lengths - 1)[:, None]).all()


def test_every_ordinary_position_is_equally_likely() -> None:
    rows = 40_000
    segment_a, lengths = np.full(rows, 7), np.full(rows, 16)
    positions = choose_positions(segment_a, lengths, np.full(rows, 4), KeyedRandom(1, "masks"))
    counts = np.bincount(positions.ravel(), minlength=16)
    assert (counts[[0, 6, 15]] == 0).all()
    ordinary = np.delete(counts, [0, 6, 15])
    share = 4 / 13
    sigma = np.sqrt(rows * share * (1 - share))
    assert (np.abs(ordinary - rows * share) < 5 * sigma).all()


def test_masks_are_80_10_10_and_random_words_uniform() -> None:
    rows, width = 9000, 90
    random = np.random.default_rng(2)
    ids = random.integers(5, VOCAB_SIZE, (rows, width)).astype(np.uint16)
    before = ids.copy()
    segment_a, lengths = np.full(rows, 40), np.full(rows, width)
    positions = choose_positions(
        segment_a, lengths, MASKS.num_predictions(lengths), KeyedRandom(1, "where")
    )
    original = hide(ids, positions, MASKS, KeyedRandom(1, "what"))
    row, slot = np.nonzero(positions != NO_POSITION)
    total = len(row)
    assert total > 10**5
    assert (original == before[row, positions[row, slot]]).all()
    shown = ids[row, positions[row, slot]]
    masked, kept = (shown == MASK_ID).sum(), (shown == original).sum()
    words = VOCAB_SIZE - 5
    for count, share in (
        (masked, 0.8),
        (kept, 0.1 + 0.1 / words),
        (total - masked - kept, 0.1 * (1 - 1 / words)),
    ):
        assert abs(count - total * share) < 4.5 * np.sqrt(total * share * (1 - share))
    drawn = np.bincount(shown[(shown != MASK_ID) & (shown != original)], minlength=VOCAB_SIZE)
    assert (drawn[:5] == 0).all()
    expected = drawn.sum() / words
    z = ((drawn[5:] - expected) ** 2 / expected).sum()
    assert abs(z - words) < 5 * np.sqrt(2 * words)
    # Scattering the original ids back gives the text; nothing else was touched.
    ids[row, positions[row, slot]] = original
    assert (ids == before).all()
