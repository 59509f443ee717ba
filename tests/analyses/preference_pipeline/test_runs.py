"""Runs against the common training loop; thresholds against single gradients."""

from dataclasses import replace

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.common.training import epochs, train
from analyses.preference_pipeline.cells import budgeted, form_on, free
from analyses.preference_pipeline.config import Base
from analyses.preference_pipeline.runs import log_ratios, train_cell
from analyses.preference_pipeline.thresholds import threshold_rows

METRICS = {
    "utility", "win_rate", "kl", "gen_length", "duty", "drop_q05", "drop_q50",
    "drop_q95", "drop_mean", "fallen", "d_rejected", "margin_right",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(config):
    return replace(config.runs, rate=3e-3)


@pytest.fixture(scope="module")
def found(scene, pairs, runs):
    return train_cell(scene, pairs, free(runs), runs)


def value(run, metric: str, step: int) -> float:
    (one,) = [
        x["value"] for x in run.rows if (x["metric"], x["step"]) == (metric, step)
    ]
    return one


def test_without_a_budget_a_run_is_that_of_the_common_loop(scene, pairs, runs, found):
    rng = np.random.default_rng([scene.seed, 35])
    order = jnp.asarray(epochs(len(pairs.data), runs.steps, runs.batch, rng))
    expected, _ = train(
        scene.logps_fn, scene.reference.params, pairs.data, pairs.logps, order,
        runs.rate, loss="dpo",
    )  # fmt: skip
    one, other = (
        np.asarray(log_ratios(scene.logps_fn, params, pairs.data, pairs.logps))
        for params in (found.policies[runs.steps], expected)
    )
    assert np.abs(other).max() > 0.1
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_the_rows_of_a_run(scene, pairs, runs, found):
    assert {x["metric"] for x in found.rows} == METRICS
    a, b = np.asarray(
        log_ratios(scene.logps_fn, found.policies[runs.steps], pairs.data, pairs.logps)
    )
    last = runs.steps
    assert value(found, "drop_mean", last) == pytest.approx(-a.mean(), rel=1e-5)
    assert value(found, "drop_q95", last) == pytest.approx(
        np.quantile(-a, 0.95), rel=1e-4
    )
    assert value(found, "margin_right", last) == np.mean(a > b) > 0.5
    assert value(found, "duty", last) == 0
    for stop in runs.stops:
        assert value(found, "kl", stop) > 0
        assert 0 <= value(found, "win_rate", stop) <= 1


@pytest.mark.parametrize("form", ["outside", "inside"])
def test_a_strong_budget_of_zero_keeps_the_chosen_side_up(
    form, scene, pairs, runs, found
):
    held = train_cell(scene, pairs, budgeted(runs, form, 0.0, 50.0), runs)
    last = runs.steps
    assert value(held, "drop_q95", last) < value(found, "drop_q95", last)
    assert value(held, "duty", last) > 0
    assert value(held, "beyond", last) <= 1


@pytest.mark.parametrize("spec", [None, "simpo", "ipo"])
def test_thresholds_are_those_of_single_pairs_gradients(
    spec, scene, pairs, runs, found
):
    """The same sums from the Jacobian of all pairs' log-probabilities."""
    base = spec and Base(spec, 0.5, 1e-3)
    runs = replace(runs, delta=0.25, plane_deltas=())
    policies = {7: found.policies[runs.steps]}
    rows = list(threshold_rows(scene, pairs, policies, base, runs))
    assert {one["step"] for one in rows} == {7}
    measured = {one["loss"]: one["value"] for one in rows}
    flat, back = jax.flatten_util.ravel_pytree(found.policies[runs.steps])

    def sums(vector):
        return log_ratios(scene.logps_fn, back(vector), pairs.data, pairs.logps)

    a, b = np.asarray(sums(flat))
    good, bad = np.asarray(jax.jacrev(sums)(flat), float)
    w_good, w_bad = weights_on_sums(spec, pairs.logps, a, b)
    unit = 0.5 if spec else runs.beta / 2
    beyond, fell = -a > 0.25, -a > 0
    pulls = {
        form_on("outside", base): (beyond, unit * good[beyond].sum(0)),
        form_on("inside", base): (beyond, w_good[beyond] @ good[beyond]),
    }
    if spec is None:
        pulls["mle"] = (fell, unit * good.sum(0))
    assert set(measured) == set(pulls)
    for name, (members, pull) in pulls.items():
        fallen = good[members].sum(0)
        push, held = -fallen @ (w_good @ good - w_bad @ bad), fallen @ pull
        expected = (push / held if held > 0 else np.inf) if push > 0 else 0.0
        assert measured[name] == pytest.approx(expected, rel=1e-2), name
    if spec != "ipo":  # under which the sum of these pairs rises
        assert max(measured.values()) > 0


def weights_on_sums(spec, logps, a, b):
    """|D_w| and D_l of DPO, SimPO and IPO at their defaults, written out."""
    if spec is None:
        weight = 0.1 / (1 + np.exp(0.1 * (a - b)))
        return weight, weight
    if spec == "ipo":
        return 2 * (5 - (a - b)), 2 * (5 - (a - b))
    masks = np.asarray(logps.chosen_mask), np.asarray(logps.rejected_mask)
    lengths = [mask.sum(-1) for mask in masks]
    known = (np.asarray(logps.ref_chosen), np.asarray(logps.ref_rejected))
    refs = [np.where(mask, x, 0).sum(-1) for mask, x in zip(masks, known, strict=True)]
    means = [(r + x) / n for r, x, n in zip(refs, (a, b), lengths, strict=True)]
    slope = 2 / (1 + np.exp(2 * (means[0] - means[1]) - 0.5))
    return slope / lengths[0], slope / lengths[1]
