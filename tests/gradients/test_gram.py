"""Gram matrices against stacked gradients; the sketch's error; memory."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from gradlab.errors import GradlabError, LossInputError
from gradlab.gradients import (
    cosines,
    pair_gram,
    projected_gram,
    side_gradients,
    token_gram,
    token_weights,
)
from gradlab.losses import resolve
from tests.gradients.models import flat, make_case, take

N = 5


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def stacked(case, parts=("total",), loss="dpo"):
    """All gradients at once: what the library avoids."""
    rows = {part: [] for part in parts}

    @jax.jit
    def split(p, data, pairs):
        return side_gradients(loss, lambda p: case.batch_logps(p, data), p, pairs)

    for i in range(len(case.pairs.chosen_mask)):
        one = take(case, [i])
        sides = split(one.params, one.data, one.pairs)
        for part in parts:
            rows[part].append(flat(getattr(sides, part)))
    return np.stack([row for part in parts for row in rows[part]])


def gram_of(case, loss="dpo", **options):
    run = jax.jit(
        lambda p: pair_gram(loss, case.batch_logps, p, case.data, case.pairs, **options)
    )
    return run(case.params)


@pytest.fixture(scope="module")
def case_and_rows():
    with jax.enable_x64(True):
        case = make_case(batch=N)
        return case, stacked(case, ("chosen", "rejected"))


@pytest.mark.parametrize("microbatch", [1, 2, 8])
def test_equals_the_stacked_gradients(case_and_rows, microbatch):
    case, rows = case_and_rows
    whole = rows[:N] + rows[N:]
    got = gram_of(case, microbatch=microbatch)
    np.testing.assert_allclose(got, whole @ whole.T, rtol=1e-10, atol=1e-16)
    np.testing.assert_array_equal(got, got.T)


def test_both_sides_and_one_side(case_and_rows):
    case, rows = case_and_rows
    both = gram_of(case, part="both", microbatch=2)
    np.testing.assert_allclose(both, rows @ rows.T, rtol=1e-10, atol=1e-16)
    for number, part in enumerate(("chosen", "rejected")):
        one = gram_of(case, part=part, microbatch=3)
        block = slice(number * N, (number + 1) * N)
        np.testing.assert_allclose(one, both[block, block], rtol=1e-10, atol=1e-16)


def test_order_moves_rows_and_columns():
    case, order = make_case(batch=N), np.array([3, 0, 4, 1, 2])

    @jax.jit
    def gram(data, pairs):
        return pair_gram(
            "dpo", case.batch_logps, case.params, data, pairs, microbatch=2
        )

    other = take(case, order)
    moved = gram(other.data, other.pairs)
    expected = np.asarray(gram(case.data, case.pairs))[order][:, order]
    np.testing.assert_allclose(moved, expected, rtol=1e-11, atol=1e-17)


def projection(case, **options):
    """A key's sketch, compiled once."""
    return jax.jit(
        lambda key: projected_gram(
            "dpo", case.batch_logps, case.params, case.data, case.pairs, key, **options
        )
    )


def test_the_sketch_is_unbiased_and_its_error_is_reported(case_and_rows):
    case, rows = case_and_rows
    exact = rows @ rows.T
    norms = np.sqrt(np.diagonal(exact))
    run = jax.jit(
        jax.vmap(
            lambda key: projected_gram(
                "dpo",
                case.batch_logps,
                case.params,
                case.data,
                case.pairs,
                key,
                width=64,
                part="both",
                microbatch=8,
            )
        )
    )
    got = run(jax.random.split(jax.random.key(0), 64))
    np.testing.assert_allclose(got.norms[0], norms, rtol=1e-10)
    relative = (got.gram - exact) / (norms[:, None] * norms)
    off = ~np.eye(2 * N, dtype=bool)
    # One chunk holds all pairs here, so that the reported error is the actual one.
    actual = np.sqrt(np.mean(relative[:, off] ** 2, axis=1))
    np.testing.assert_allclose(got.error, actual, rtol=1e-9)
    # Mean of 64 draws: standard error about 2/sqrt(64 * 64).
    assert np.abs(relative.mean(0)).max() < 5 * 2 / 64
    assert 0.5 / np.sqrt(64) < actual.mean() < 2 / np.sqrt(64)


def test_the_sketch_does_not_depend_on_the_microbatch():
    case, key = make_case(batch=N), jax.random.key(3)
    by_two, whole = (projection(case, width=32, microbatch=m) for m in (2, 8))
    one, two = by_two(key), whole(key)
    np.testing.assert_allclose(one.gram, two.gram, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(one.norms, two.norms, rtol=1e-10)
    assert np.isfinite(one.error)
    other = whole(jax.random.key(4))
    assert np.abs(other.gram - two.gram).max() > 0


@pytest.mark.parametrize("microbatch", [1, 4])
def test_token_gram_equals_the_jacobians(microbatch):
    case = make_case(batch=1)
    gram = jax.jit(lambda p: token_gram(case.logps_fn, p, microbatch=microbatch))(
        case.params
    )
    jacobians = jax.jit(jax.jacrev(case.logps_fn))(case.params)
    rows = np.concatenate(
        [
            np.concatenate(
                [
                    np.reshape(leaf, (*leaf.shape[:2], -1))[0]
                    for leaf in jax.tree.leaves(side)
                ],
                axis=-1,
            )
            for side in jacobians
        ]
    )
    np.testing.assert_allclose(gram, rows @ rows.T, rtol=1e-10, atol=1e-12)
    cosine = np.asarray(cosines(gram))
    real = np.diagonal(gram) > 0
    np.testing.assert_allclose(np.diagonal(cosine)[real], 1.0, rtol=1e-12)
    assert not cosine[~real].any()


def test_the_token_gram_holds_the_pair_gram():
    """<g_c, g_r> = w_c' K w_r with the block of the token kernel."""
    case = make_case(batch=1)
    tokens = jax.jit(lambda p: token_gram(case.logps_fn, p))(case.params)
    both = gram_of(case, part="both")
    chosen, rejected = jax.jit(case.logps_fn)(case.params)
    weights = token_weights(
        "dpo", replace(case.pairs, chosen=chosen, rejected=rejected)
    )
    width = chosen.size
    inner = weights.chosen[0] @ tokens[:width, width:] @ weights.rejected[0]
    np.testing.assert_allclose(both[0, 1], inner, rtol=1e-10)


def test_refusals():
    case = make_case()
    with pytest.raises(LossInputError, match="couples the pairs"):
        gram_of(case, resolve("exmate", reduction="batch"))
    with pytest.raises(GradlabError, match="part is 'half'"):
        gram_of(case, part="half")
    with pytest.raises(GradlabError, match="expected at least 1 and 2"):
        projection(case, microbatch=1)(jax.random.key(0))


def temporaries(function, case):
    compiled = jax.jit(function).lower(case.params, case.data, case.pairs).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_stays_near_that_of_one_chunk():
    """One chunk: `microbatch` gradients by vmap, reduced to norms, and nothing else."""
    rows, sketched, microbatch = [], [], 8
    for batch in (8, 48):
        case = make_case("small", batch=batch)

        def gram(p, data, pairs, case=case):
            return pair_gram(
                "dpo", case.batch_logps, p, data, pairs, microbatch=microbatch
            )

        def sketch(p, data, pairs, case=case):
            key = jax.random.key(0)
            return projected_gram(
                "dpo",
                case.batch_logps,
                p,
                data,
                pairs,
                key,
                width=64,
                microbatch=microbatch,
            )

        rows.append(temporaries(gram, case))
        sketched.append(temporaries(sketch, case))
    assert rows[1] <= 1.3 * rows[0]
    assert sketched[1] <= 1.3 * sketched[0]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(case.params))
    # 40 more pairs cost less than 4 more gradients.
    assert rows[1] - rows[0] < 4 * size
    assert sketched[1] - sketched[0] < 4 * size
