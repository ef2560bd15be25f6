import numpy as np

from bertctl.pipeline.randomness import KeyedRandom, mixed

PINNED_BITS = [891496625897763902, 10055602344157291592]
PINNED_HASHES = [40759503834027703, 15307709047357972195]


def test_same_key_draws_the_same_and_every_part_of_a_key_counts() -> None:
    drawn = KeyedRandom(7, "masks", 3).bits(5).tolist()
    assert drawn == KeyedRandom(7, "masks", 3).bits(5).tolist()
    others = [KeyedRandom(8, "masks", 3), KeyedRandom(7, "pairs", 3), KeyedRandom(7, "masks", 4)]
    assert all(other.bits(5).tolist() != drawn for other in others)


def test_bits_are_the_ones_they_have_always_been() -> None:
    # A change here changes the bytes of everybody's shards.
    assert KeyedRandom(12345, "bucket", 0).bits(2).tolist() == PINNED_BITS
    assert mixed(np.arange(2, dtype=np.uint64), 12345, "bucket").tolist() == PINNED_HASHES


def test_binomial_counts_fair_coins() -> None:
    counts = np.repeat([0, 1, 5, 63, 64, 65, 200], 4000)
    heads = KeyedRandom(1, "coins").binomial_half(counts)
    assert (heads <= counts).all()
    for count in np.unique(counts):
        some = heads[counts == count]
        assert abs(some.mean() - count / 2) <= 5 * np.sqrt(count / 4 / len(some))
        assert abs(some.var() - count / 4) <= 0.15 * count / 4


def test_coins_are_fair_and_as_many_as_asked_for() -> None:
    for count in (0, 1, 63, 65, 40_000):
        coins = KeyedRandom(1, "coins").coins(count)
        assert coins.shape == (count,)
        assert coins.dtype == bool
    assert abs(int(coins.sum()) - 20_000) < 5 * 100
    words = KeyedRandom(1, "coins").bits(625)
    assert np.packbits(coins).tobytes() == words.tobytes(), "each bit tossed once"


def test_below_keeps_bounds_of_32_bits() -> None:
    bounds = np.array([1, 2**32, 2**32, 2**31 + 1] * 2000)
    drawn = KeyedRandom(1, "wide").below(bounds)
    assert (drawn >= 0).all()
    assert (drawn < bounds).all()
    wide = drawn[bounds == 2**32] / 2**32
    assert abs(wide.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(wide))
    assert len(KeyedRandom(1, "none").below(np.zeros(0, np.int64))) == 0


def test_below_reaches_every_number_and_no_further() -> None:
    drawn = KeyedRandom(1, "dice").below(np.full(6000, 6))
    counts = np.bincount(drawn, minlength=6)
    assert len(counts) == 6
    assert (abs(counts - 1000) < 5 * np.sqrt(1000)).all()


def test_permutation_holds_every_number_once() -> None:
    order = KeyedRandom(1, "order").permutation(1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))


def test_permutation_is_the_order_of_the_bits() -> None:
    drawn = KeyedRandom(1, "order").bits(70_000)
    order = KeyedRandom(1, "order").permutation(70_000)
    assert order.tolist() == np.argsort(drawn, kind="stable").tolist()
    assert KeyedRandom(1, "order").permutation(0).tolist() == []


def test_mixed_keys_are_different_for_different_values() -> None:
    values = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mixed(values, 1, "bucket"))) == len(values)
