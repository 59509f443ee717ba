"""Both sides of the same pairs in one batch: nothing lost, nothing mixed."""

import numpy as np
import pytest

from gradlab.data.batches import TokenizedPair
from gradlab.data.pair_batches import pair_batches
from gradlab.errors import DataError


def make_pairs(count, seed=0):
    rng = np.random.default_rng(seed)

    def ids(low, high):
        return rng.integers(1, 50, rng.integers(low, high)).tolist()

    return [
        TokenizedPair(n + 1, ids(1, 20), ids(1, 60), ids(1, 60)) for n in range(count)
    ]


def test_every_pair_is_once_in_a_batch_and_reads_as_it_was():
    pairs, seen = make_pairs(37), []
    for batch in pair_batches(pairs, batch_size=4, max_shapes=3, pad_id=99):
        assert batch.chosen.tokens.shape == batch.rejected.tokens.shape
        np.testing.assert_array_equal(batch.chosen.index, batch.rejected.index)
        for side in ("chosen", "rejected"):
            rows = getattr(batch, side)
            assert rows.width == batch.width
            for row, place in enumerate(batch.index):
                if place < 0:
                    assert rows.response_length[row] == 0
                    continue
                pair = pairs[place]
                expected = pair.prompt + getattr(pair, side)
                assert rows.tokens[row, : len(expected)].tolist() == expected
                assert (rows.tokens[row, len(expected) :] == 99).all()
                assert rows.response_start[row] == len(pair.prompt)
                assert rows.response_length[row] == len(getattr(pair, side))
        seen += [place for place in batch.index if place >= 0]
    assert sorted(seen) == list(range(37))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_few_shapes(most):
    made = pair_batches(make_pairs(50), batch_size=4, max_shapes=most)
    shapes = {(batch.chosen.tokens.shape, batch.width) for batch in made}
    assert len(shapes) <= most


def test_no_pair_is_refused():
    with pytest.raises(DataError, match="at least one pair"):
        list(pair_batches([], batch_size=4))
