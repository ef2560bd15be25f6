import numpy as np
import pytest

from bertctl.pipeline.pretrain.order import Order, permuted


@pytest.mark.parametrize("size", [1, 2, 3, 15, 16, 17, 1000, 4097])
def test_permutation_hits_every_number_once(size: int) -> None:
    shuffled = permuted(np.arange(size), size, 7, 3)
    assert sorted(shuffled.tolist()) == list(range(size))


@pytest.mark.parametrize("sizes", [(5,), (40, 33), (100, 117, 96)])
def test_every_epoch_reads_every_row_of_its_copy_once(sizes: tuple[int, ...]) -> None:
    order = Order(sizes, seed=3)
    rows = order.rows(np.arange(2 * sum(sizes)))
    starts = np.cumsum((0, *sizes, *sizes))
    for epoch, size in enumerate((*sizes, *sizes)):
        first_row = sum(sizes[: epoch % len(sizes)])
        read = rows[starts[epoch] : starts[epoch] + size]
        assert sorted(read.tolist()) == list(range(first_row, first_row + size))


def test_epochs_over_the_same_copy_come_in_different_orders() -> None:
    rows = Order((640,), seed=3).rows(np.arange(1280))
    assert (rows[:640] != rows[640:]).mean() > 0.9


def test_any_slice_of_the_stream_is_the_same_however_it_is_asked() -> None:
    order = Order((100, 117), seed=3)
    whole = order.rows(np.arange(500))
    pieces = [order.rows(np.arange(start, start + 7)) for start in range(0, 490, 7)]
    assert (np.concatenate(pieces) == whole[:490]).all()
    backwards = order.rows(np.arange(499, -1, -1))
    assert (backwards[::-1] == whole).all()


def test_far_positions_need_no_memory() -> None:
    far = np.arange(10**15, 10**15 + 9)
    rows = Order((10**11, 10**11 + 7), seed=3).rows(far)
    assert len(set(rows.tolist())) == 9
    assert (rows < 2 * 10**11 + 7).all()


def test_epoch_is_counted_in_instances() -> None:
    order = Order((100, 300), seed=3)
    assert [order.epoch_at(at) for at in (0, 50, 100, 250, 400, 1200)] == [0, 0.5, 1, 1.5, 2, 6]
