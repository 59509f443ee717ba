"""Predicted and realised drift, their agreement, and the order of the error."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from analyses.drift_prediction import one_step, order
from analyses.drift_prediction.policy import all_weights, batch_gradient, first
from analyses.drift_prediction.rows import make_table
from gradlab.gradients import (
    order_test,
    predicted_drift,
    realised_drift,
    side_gradients,
)
from gradlab.gradients.groups import tree_norm


@pytest.fixture(scope="module")
def drifts(scene, config):
    with jax.enable_x64(True):
        return one_step.measure_drifts(scene, config)


def test_one_step_is_the_librarys_prediction_and_realisation(scene, config, drifts):
    data = scene.kind.pairs.take(slice(config.batch))
    pairs = first(scene.pairs, config.batch)
    index = config.losses.index("dpo")

    def logps_fn(theta):
        return scene.logps_fn(theta, data)

    gradient = side_gradients("dpo", logps_fn, scene.params, pairs).total
    norm = tree_norm(gradient)
    np.testing.assert_allclose(drifts.norms[index], norm, rtol=1e-10)
    for number, size in enumerate(config.steps):
        factor = -size * scene.size / norm
        step = jax.tree.map(lambda g, f=factor: f * g, gradient)
        expected = jnp.stack(predicted_drift(logps_fn, scene.params, step))
        found = drifts.predicted[index, number]
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-14)
        expected = jnp.stack(realised_drift(logps_fn, scene.params, step))
        found = drifts.realised[index, number]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_agreement_rows_hold_every_loss_and_step(drifts, config):
    table = make_table(one_step.agreement_rows(drifts, kind="edits", seed=0))
    found = table[table["metric"] == "pearson"]
    assert len(found) == len(config.losses) * len(config.steps)
    rejected = table[(table["metric"] == "real") & (table["side"] == "rejected")]
    mle = rejected[rejected["loss"] == "mle"]["value"]
    index = config.losses.index("mle")
    expected = drifts.realised[index, -1, 1].sum(-1).mean()
    np.testing.assert_allclose(mle, expected, rtol=1e-6)


def test_pooled_pearson_is_that_of_the_tokens(drifts):
    sums = one_step.pair_sums(drifts)
    found = one_step.pooled_pearson(sums[None])[0]
    for index in range(len(drifts.losses)):
        x, y = (t[index, 0][drifts.mask] for t in (drifts.predicted, drifts.realised))
        np.testing.assert_allclose(found[index, 0], np.corrcoef(x, y)[0, 1], rtol=1e-9)


def test_bootstrap_rows_bracket_the_correlations(drifts, config):
    sums = one_step.pair_sums(drifts)
    table = make_table(one_step.bootstrap_rows([sums, sums], config, kind="edits"))
    low, high = (
        table[table["metric"] == f"min_pearson_{end}"]["value"].to_numpy()
        for end in ("low", "high")
    )
    smooth = [loss not in config.losses_with_kinks() for loss in config.losses]
    least = one_step.pooled_pearson(sums[None])[0][smooth].min(0)
    assert np.all(low <= least + 1e-7)
    assert np.all(least <= high + 1e-3)


def test_top_share_by_hand():
    values = np.arange(1.0, 41.0)
    # Two responses of 20 tokens: the top 5 % is one token in each.
    expected = (20 / values[:20].sum() + 40 / values[20:].sum()) / 2
    found = one_step._top_share(values, np.array([20, 20]))
    np.testing.assert_allclose(found, expected)


def test_smaller_steps_agree_better(scene, config):
    wide = replace(config, steps=(1e-3, 1e-6))
    drifts = one_step.measure_drifts(scene, wide)
    table = make_table(one_step.agreement_rows(drifts, kind="edits", seed=0))
    errors = table[table["metric"] == "rel_err"].pivot(
        index="loss", columns="eta", values="value"
    )
    assert np.all(errors[1e-6] < 0.01 * errors[1e-3])


def test_orders_are_those_of_the_library(scene, config):
    """SGD on DPO: the same errors as `order_test` along the same unit step."""
    table = make_table(order.order_rows(scene, config, ["dpo"], kind="edits", seed=0))
    data = scene.kind.pairs.take(slice(config.order_pairs))
    batch = scene.kind.pairs.take(slice(config.batch))
    weights = all_weights(["dpo"], first(scene.pairs, config.batch), 64)[0]
    gradient = batch_gradient(scene.logps_fn, scene.params, batch, weights)
    size = -scene.size / tree_norm(gradient)
    step = jax.tree.map(lambda g: size * g, gradient)
    own = table[table["optimiser"] == "sgd"]
    top = own[own["metric"] == "top_step"]["value"].item()
    expected = order_test(
        lambda theta: scene.logps_fn(theta, data),
        scene.params,
        step,
        [top * factor for factor in config.order_factors],
    )
    for metric, errors in (
        ("rel_err", expected.linear), ("trap_err", expected.trapezoid)
    ):  # fmt: skip
        found = own[own["metric"] == metric].sort_values("eta", ascending=False)
        np.testing.assert_allclose(found["value"], errors, rtol=1e-3)
    assert expected.linear[0] == pytest.approx(config.order_error, rel=0.1)
    slope = own[own["metric"] == "slope_trap_err"]["value"].item()
    expected = np.diff(np.log(expected.trapezoid)) / np.diff(
        np.log(config.order_factors)
    )
    assert slope == pytest.approx(np.median(expected), abs=1e-3)
    assert slope == pytest.approx(2, abs=0.05)
    assert set(table["optimiser"]) == {"sgd", "rmsprop", "adamw"}


def test_directions_are_unit_steps_after_an_earlier_gradient():
    rng = np.random.default_rng(0)
    params, old, gradient = ({"w": jnp.asarray(rng.normal(size=5))} for _ in range(3))
    found = order._directions(params, old, gradient)["w"]
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=-1), 1)
    adamw = optax.adamw(1.0, weight_decay=0.01)
    state = adamw.update(old, adamw.init(params), params)[1]
    expected = adamw.update(gradient, state, params)[0]["w"]
    np.testing.assert_allclose(found[2], expected / jnp.linalg.norm(expected))
    np.testing.assert_allclose(found[0], -gradient["w"] / tree_norm(gradient))
