"""Forms and tabular dynamics against second computations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.gradient_framework import exact, tabular
from analyses.gradient_framework.config import Config
from gradlab.losses import resolve
from gradlab.types import PairLogps


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def config() -> Config:
    return replace(Config.smoke(), tabular_losses=("mle", "unlikelihood_token", "dpo"))


def test_every_identity_holds_to_rounding(config):
    rows = list(exact.identity_rows(config))
    assert {row["part"] for row in rows} == {"S1.6", "S1.7", "S1.8"}
    assert max(row["value"] for row in rows) < 1e-13


def test_a_wrong_form_is_found(monkeypatch):
    monkeypatch.setattr(exact, "LAMS", (1.5,))
    assert np.max(exact.prefix_errors()["exmate 1.5 raises"]) > 0.4


@pytest.mark.parametrize("loss", ["mle", "dpo", "exmate(reduction=token, lam=1)"])
def test_logit_gradient_is_that_of_the_logits(loss):
    probabilities = np.array([*exact.FORK, 1 - sum(exact.FORK)])

    def value(logits):
        logp = jax.nn.log_softmax(logits)
        one, two = logp[None, :1], logp[None, 1:2]
        ones = jnp.ones((1, 1))
        ref = jnp.log(jnp.asarray(probabilities))
        pairs = PairLogps(one, two, ones, ones, ref[None, :1], ref[None, 1:2])
        return resolve(loss)(pairs)[0]

    wanted = jax.grad(value)(jnp.log(jnp.asarray(probabilities)))
    found = list(exact.logit_gradient(loss).values())
    np.testing.assert_allclose(found, wanted, atol=1e-14)
    assert sum(found) == pytest.approx(0, abs=1e-15)


def test_signs_at_the_first_difference_have_no_exception(config):
    rows = list(tabular.sign_rows(config))
    assert [row["value"] for row in rows if row["metric"] == "error"] == [0, 0]
    falls = {r["loss"]: r["value"] for r in rows if r["metric"] == "share_falls"}
    assert falls["dpo"] == 0
    assert 0 < falls["penalty alone"] < 1


def test_first_order_change_agrees_with_a_small_step():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, tabular.VOCAB)))
    weights = jnp.array([0.0, 1.0])
    found = tabular._change_of_good(logits, weights)
    probs = jax.nn.softmax(logits)
    size = 1e-6
    # dL/dz of a weight on token 1 alone: onehot - p.
    moved = logits - size * (jnp.eye(tabular.VOCAB)[1] - probs)
    change = jax.nn.log_softmax(moved)[:, 0] - jax.nn.log_softmax(logits)[:, 0]
    np.testing.assert_allclose(found, change / size, rtol=1e-4)
    formula = probs[:, 0] + probs[:, 1] - (probs**2).sum(1)
    np.testing.assert_allclose(found, formula, rtol=1e-10)


def test_dpo_leaves_the_prefix_and_unlikelihood_pins_it(config):
    rows = list(tabular.dynamics_rows(replace(config, tabular_steps=1024)))

    def last(metric, loss):
        return [r for r in rows if (r["metric"], r["loss"]) == (metric, loss)][-1]

    drift = [r["value"] for r in rows if r["metric"] == "prefix_logp"]
    dpo = [
        r["value"] for r in rows if r["metric"] == "prefix_logp" and r["loss"] == "dpo"
    ]
    assert np.ptp(dpo) < 1e-13 < np.ptp(drift)
    assert last("prefix_gap", "unlikelihood_token")["value"] < 1e-3
    assert last("prefix_gap", "mle")["value"] > 0.4


def test_descent_is_its_steps():
    start = tabular.start_logits(1)
    one = tabular.descend(start, start, 0.1, 1, loss="mle")
    two = tabular.descend(one, start, 0.1, 1, loss="mle")
    np.testing.assert_allclose(
        tabular.descend(start, start, 0.1, 2, loss="mle"), two, rtol=1e-12
    )
    probs = jax.nn.softmax(start)
    # MLE: every chosen row moves by rate (onehot - p), the rejected tail not at all.
    step = np.asarray(one - start)
    np.testing.assert_allclose(
        step[0], 0.1 * (np.eye(tabular.VOCAB)[0] - np.asarray(probs[0])), atol=1e-14
    )
    assert (step[tabular.PREFIX + 1 + tabular.TAIL :] == 0).all()


def test_stops_end_with_the_run():
    assert tabular.stops(16).tolist() == [0, 1, 2, 4, 8, 16]
