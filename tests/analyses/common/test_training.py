"""Short runs against the same steps taken one by one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from analyses.common.arrays import make_arrays, pair_logps_fn
from analyses.common.training import (
    OPTIMISERS,
    epochs,
    fit,
    fit_responses,
    train,
    train_watched,
)
from gradlab.data import TokenizedPair
from gradlab.losses import resolve
from gradlab.models import DecoderConfig, build
from gradlab.types import PairLogps

WIDTH, RATE = 3, 0.05


@pytest.fixture(scope="module")
def scene():
    shape = DecoderConfig(8, width=8, layers=1, heads=2, ff_width=16, max_length=8)
    model, params = build(shape, seed=0)
    pairs = [
        TokenizedPair(1, [0, 1], [2, 3], [2, 4, 5]),
        TokenizedPair(2, [0, 2], [5], [6, 1]),
        TokenizedPair(3, [0, 3], [4, 4, 1], [4]),
    ]
    data, logps_fn = make_arrays(pairs, 6), pair_logps_fn(model, WIDTH)
    chosen, rejected = logps_fn(params, data)
    masks = data.mask(WIDTH)
    given = PairLogps(
        chosen, rejected, masks[0], masks[1], ref_chosen=chosen, ref_rejected=rejected
    )
    return model, params, data, logps_fn, given


def test_every_row_is_seen_once_an_epoch():
    order = epochs(12, 6, 4, np.random.default_rng(0))
    assert order.shape == (6, 4)
    assert sorted(order[:3].ravel()) == sorted(order[3:].ravel()) == list(range(12))
    assert epochs(5, 2, 4, np.random.default_rng(0)).shape == (2, 4)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_run_is_its_steps(scene, optimiser):
    _, params, data, logps_fn, given = scene
    order, loss = [[0, 1], [2, 0], [1, 2]], resolve("dpo")
    found, losses = train(
        logps_fn, params, data, given, jnp.array(order), RATE,
        loss="dpo", optimiser=optimiser,
    )  # fmt: skip
    method = OPTIMISERS[optimiser](RATE)
    state, wanted = method.init(params), params
    for rows, reported in zip(order, losses, strict=True):
        taken = jnp.array(rows)
        some, part = jax.tree.map(lambda x, i=taken: x[i], (given, data))

        def value(theta, some=some, part=part):
            chosen, rejected = logps_fn(theta, part)
            return loss(replace(some, chosen=chosen, rejected=rejected)).mean()

        expected, gradient = jax.value_and_grad(value)(wanted)
        np.testing.assert_allclose(reported, expected, rtol=1e-5)
        change, state = method.update(gradient, state, wanted)
        wanted = optax.apply_updates(wanted, change)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, wanted
    )
    assert losses[0] == pytest.approx(np.log(2), abs=1e-6)


def test_a_fit_learns_its_texts(scene):
    model, params = scene[:2]
    texts = np.tile([0, 1, 2, 3, 4, 5], (20, 4, 1))
    _, losses = fit(model, params, jnp.asarray(texts), 0.02)
    assert losses[-1] < 0.5 * losses[0]


def test_a_fit_to_responses_reads_the_chosen_ones(scene):
    model, params, data, logps_fn, _ = scene
    order = jnp.asarray([[0, 2]] * 40)
    found, losses = fit_responses(model, params, data, order, 0.02, width=WIDTH)
    counts = int(data.chosen_length[0] + data.chosen_length[2])
    for theta, loss in ((params, losses[0]), (found, 0.5 * losses[0])):
        chosen, _ = logps_fn(theta, data)
        mean = -float(chosen[0].sum() + chosen[2].sum()) / counts
        assert mean <= loss * (1 + 1e-5)
    assert losses[0] == pytest.approx(
        -float(sum(logps_fn(params, data)[0][jnp.asarray([0, 2])].sum(-1))) / counts,
        rel=1e-5,
    )


def test_a_watched_run_is_the_same_run(scene):
    _, params, data, logps_fn, given = scene
    order = jnp.asarray([[0, 1], [2, 0], [1, 2], [0, 1]])
    run = (logps_fn, params, data, given)
    expected, _ = train(*run, order, RATE, loss="dpo(beta=0.3)")
    halfway, _ = train(*run, order[:2], RATE, loss="dpo(beta=0.3)")
    found, sums = train_watched(
        *run, order.reshape(2, 2, 2), RATE, {"beta": 0.3}, loss="dpo", watched=2
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected
    )
    assert sums.shape == (2, 2, 2)
    masks = data.mask(WIDTH)
    for stage, theta in zip(sums, (halfway, expected), strict=True):
        both = jnp.stack(logps_fn(theta, data))
        direct = jnp.where(masks, both, 0).sum(-1)[:, :2]
        np.testing.assert_allclose(stage, direct, atol=1e-4)
