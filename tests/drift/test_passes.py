"""Passes over batches against the same numbers pair by pair, without padding."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.inputs.scored import SIDES
from gradlab.models.functional import LanguageModel
from tests.drift.cases import log_probs, make_case


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def direction_of(params, seed=0):
    keys = iter(jax.random.split(jax.random.key(seed), 200))
    return jax.tree.map(
        lambda leaf: 0.1 * jax.random.normal(next(keys), leaf.shape), params
    )


def test_logps_are_those_of_each_pair_alone():
    case = make_case()
    found = case.corpus.logps(case.params)
    for side in SIDES:
        for n in range(len(case.pairs)):
            expected = log_probs(case, case.params, n, side)
            got = found[side][n]
            np.testing.assert_allclose(got[: len(expected)], expected, rtol=1e-12)
            assert (got[len(expected) :] == 0).all()


def test_gradients_are_those_of_the_weighted_sum():
    case = make_case()
    weights = case.mean_weights("dpo+exmate")

    def weighted(params, side):
        total = 0.0
        for n in range(len(case.pairs)):
            logps = log_probs(case, params, n, side)
            total += jnp.sum(logps * weights[side][n][: len(logps)])
        return total

    found = case.corpus.gradients(case.params, weights)
    for side in SIDES:
        expected = jax.grad(weighted)(case.params, side)
        got = getattr(found, side)
        for one, two in zip(
            jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-13)


def test_drifts_are_central_differences():
    case, step = make_case(), 1e-6
    direction = direction_of(case.params)
    halves = jax.tree.map(lambda leaf: leaf / 2, direction)
    found = case.corpus.drifts(case.params, {"whole": direction, "half": halves})
    moved = [
        case.corpus.logps(
            jax.tree.map(lambda p, u, s=sign: p + s * step * u, case.params, direction)
        )
        for sign in (1, -1)
    ]
    for side in SIDES:
        expected = (moved[0][side] - moved[1][side]) / (2 * step)
        np.testing.assert_allclose(found["whole"][side], expected, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found["half"][side] * 2, found["whole"][side])


@pytest.mark.parametrize("microbatch", [1, 3])
def test_own_drifts_move_each_pair_by_its_own_gradient(microbatch):
    case = make_case()
    weights = case.mean_weights("unlikelihood_token")
    scale = jax.tree.map(lambda leaf: -0.1 * jnp.ones_like(leaf), case.params)
    found = {
        cause: case.corpus.own_drifts(
            case.params, cause, weights[cause], scale, microbatch=microbatch
        )
        for cause in SIDES
    }
    for cause in SIDES:
        for n in range(len(case.pairs)):

            def own(params, n=n, cause=cause):
                logps = log_probs(case, params, n, cause)
                return jnp.sum(logps * weights[cause][n][: len(logps)])

            step = jax.tree.map(lambda g: -0.1 * g, jax.grad(own)(case.params))
            for side in SIDES:
                expected = jax.jvp(
                    lambda p, n=n, side=side: log_probs(case, p, n, side),
                    (case.params,),
                    (step,),
                )[1]
                got = found[cause][side][n]
                np.testing.assert_allclose(
                    got[: len(expected)], expected, rtol=1e-8, atol=1e-13
                )


def test_neither_batching_nor_order_changes_a_number():
    order = (2, 0, 1)
    one = make_case(batch_size=1, max_shapes=3)
    two = make_case(batch_size=4, max_shapes=1, order=order)
    direction = direction_of(one.params)
    for measure in (
        lambda case: case.corpus.logps(case.params),
        lambda case: case.corpus.drifts(case.params, {"u": direction})["u"],
        lambda case: case.corpus.hidden_likeness(case.params),
    ):
        first, second = measure(one), measure(two)
        for name, values in first.items():
            np.testing.assert_allclose(values[list(order)], second[name], rtol=1e-10)


def test_a_model_without_hidden_states_has_no_ches():
    case = make_case()
    plain = LanguageModel(apply=case.corpus.model.apply)
    corpus = replace(case.corpus, model=plain)
    assert all(np.isnan(v).all() for v in corpus.hidden_likeness(case.params).values())
    for side in SIDES:
        np.testing.assert_allclose(
            corpus.logps(case.params)[side],
            case.corpus.logps(case.params)[side],
            rtol=1e-12,
        )
