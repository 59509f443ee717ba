import numpy as np
import pytest

from gradlab.training.order import Order

LENGTHS = np.random.default_rng(0).integers(3, 90, 37)


def all_batches(order):
    return [order.batch(step) for step in range(order.steps)]


@pytest.mark.parametrize("window", [1, 4, 100])
@pytest.mark.parametrize("steps", [1, 9, 37])
def test_every_row_comes_equally_often(window, steps):
    order = Order(LENGTHS, 8, steps, seed=(3,), window=window)
    counts = np.bincount(np.concatenate(all_batches(order)), minlength=37)
    assert counts.max() - counts.min() <= 1
    assert all(len(batch) == 8 for batch in all_batches(order))


def test_a_batch_depends_on_seed_and_step_alone():
    one, other = (Order(LENGTHS, 8, 20, seed=(3,), window=4) for _ in range(2))
    backwards = [other.batch(step) for step in reversed(range(20))][::-1]
    for a, b in zip(all_batches(one), backwards, strict=True):
        np.testing.assert_array_equal(a, b)
    different = Order(LENGTHS, 8, 20, seed=(4,), window=4)
    assert any((a != different.batch(k)).any() for k, a in enumerate(all_batches(one)))


def test_windows_save_padding():
    def padding(window):
        order = Order(LENGTHS, 4, 36, seed=(0,), window=window)
        return sum(4 * LENGTHS[b].max() - LENGTHS[b].sum() for b in all_batches(order))

    assert padding(9) < 0.5 * padding(1)


def test_unshuffled_rows_keep_their_order():
    order = Order(LENGTHS, 5, 10, seed=(0,), window=4, shuffle=False)
    np.testing.assert_array_equal(
        np.concatenate(all_batches(order)), np.arange(50) % 37
    )


def test_epochs_differ():
    order = Order(LENGTHS, 37, 2, seed=(0,))
    assert (order.batch(0) != order.batch(1)).any()
