"""Weights of the members against their formulas, and where both sides balance."""

import jax.numpy as jnp
import numpy as np
import pytest

from analyses.self_imitation.config import Config
from analyses.self_imitation.identities import (
    balanced_z,
    bound_error,
    identity_rows,
    values_and_slopes,
)
from analyses.self_imitation.members import GSIL, MEMBERS, PROPER

pytestmark = pytest.mark.usefixtures("float64")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


SLOPES = {
    "bernoulli": (lambda z: -sigmoid(-z), sigmoid),
    "brier": (
        lambda z: -2 * sigmoid(z) * sigmoid(-z) ** 2,
        lambda z: 2 * sigmoid(z) ** 2 * sigmoid(-z),
    ),
    "hinge": (lambda z: -1.0 * (z < 1), lambda z: 1.0 * (z > -1)),
    "kliep": (lambda z: -np.ones_like(z), np.exp),
    "lsif": (lambda z: -np.exp(z), lambda z: np.exp(2 * z)),
    "exp(z/2)": (lambda z: -np.exp(-z / 2) / 2, lambda z: np.exp(z / 2) / 2),
    "exp(z)": (lambda z: -np.exp(-z), np.exp),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_slopes_are_the_formulas(member):
    z = np.linspace(-3.05, 3.05, 21)
    _, real, generated = values_and_slopes(
        MEMBERS[member], jnp.asarray(z), jnp.asarray(z[::-1])
    )
    np.testing.assert_allclose(real, SLOPES[member][0](z), rtol=1e-11)
    np.testing.assert_allclose(generated, SLOPES[member][1](z[::-1]), rtol=1e-11)


@pytest.mark.parametrize("member", MEMBERS)
def test_balance(member):
    ratio = np.array([-1.7, -0.2, 0.6, 2.1])
    wanted = {"hinge": np.sign(ratio), "exp(z)": ratio / 2}.get(member, ratio)
    np.testing.assert_allclose(balanced_z(MEMBERS[member], ratio), wanted, atol=1e-12)


def test_errors_of_the_identities_are_rounding():
    rows = list(identity_rows(Config.smoke()))

    def largest(metric):
        return {r["loss"]: r["value"] for r in rows if r["metric"] == metric}

    ratios, bounds = largest("ratio_error"), largest("bound_error")
    assert set(ratios) == set(PROPER)
    assert set(bounds) == set(GSIL)
    assert max(ratios.values()) < 1e-12
    assert max(bounds.values()) < 1e-12
    for line in rows:
        if line["metric"] == "balance_error" and line["loss"] in PROPER:
            assert line["value"] < 1e-12
        if line["metric"] == "balance" and line["loss"] == "hinge":
            assert (line["shift"], line["value"]) == (0.0, 1.0)


@pytest.mark.parametrize("member", GSIL)
def test_a_weight_beyond_its_bound_is_an_error(member):
    beyond = 1.01 * jnp.ones(481)
    assert bound_error(member, -beyond, beyond) > 1e-3
