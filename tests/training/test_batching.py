import numpy as np
import pytest

from gradlab.training.batching import Batcher
from tests.training.cases import references, rows

PAIRS = rows(40, seed=2)


@pytest.mark.parametrize("sides", [1, 2, 3])
def test_a_batch_holds_each_response_behind_its_prompt(sides):
    batcher = Batcher.of(PAIRS, sides)
    places = np.array([7, 0, 39, 12])
    ref = references(PAIRS, sides)
    batch = batcher.batch(
        places,
        [
            [
                r[: len(batcher.response(p, s))]
                for r, s in zip(ref[p], batcher.sides, strict=True)
            ]
            for p in range(40)
        ],
    )
    assert batch.mask.shape[:3] == (1, 4, sides)
    for row, place in enumerate(places):
        for side, name in enumerate(batcher.sides):
            prompt, ids = PAIRS[place].prompt, batcher.response(place, name)
            tokens = batch.rows.tokens[0, row, side]
            start = batch.rows.start[0, row, side]
            assert tokens[: start + len(ids)].tolist() == prompt + ids
            mask = batch.mask[0, row, side]
            assert mask.sum() == len(ids)
            assert mask[: len(ids)].all()
            np.testing.assert_array_equal(
                batch.ref[0, row, side][mask], ref[place][side][: len(ids)]
            )


def test_shapes_are_few_and_large_enough():
    batcher = Batcher.of(PAIRS, 2, max_shapes=3)
    assert len(batcher.shapes) <= 3
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        batch = batcher.batch(rng.integers(0, 40, 4))
        seen.add((batch.rows.tokens.shape[-1], batch.mask.shape[-1]))
    assert seen <= set(batcher.shapes)
    assert len(seen) > 1


def test_parts_are_the_batch_cut():
    places = np.arange(8)
    whole = Batcher.of(PAIRS, 2).batch(places)
    parts = Batcher.of(PAIRS, 2, parts=4).batch(places)
    assert parts.mask.shape[:2] == (4, 2)
    assert len(parts) == len(whole) == 8
    np.testing.assert_array_equal(parts.joined().mask, whole.joined().mask)


def test_a_mismatched_response_is_of_the_next_row():
    batcher = Batcher.of(PAIRS, 3)
    found = batcher.response(39, "mismatched")
    assert found == PAIRS[0].chosen[: len(found)]
