"""The budget: its limits, its kink, the base loss."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import bcr_added, bcr_inside, dpo, resolve

from .cases import random_pairs

DROPS = ("sequence", "token_mean", "tokenwise")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def at_reference(seed):
    pairs = random_pairs(seed)
    return replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)


@pytest.mark.parametrize("name", ["bcr_added", "bcr_inside"])
@pytest.mark.parametrize("drop", DROPS)
def test_an_endless_budget_leaves_the_base(name, drop):
    pairs = random_pairs(0)
    for delta in (1e9, float("inf")):
        values = resolve(name, lam=5.0, delta=delta, drop=drop)(pairs)
        np.testing.assert_array_equal(values, dpo(pairs))


@pytest.mark.parametrize("name", ["bcr_added", "bcr_inside"])
@pytest.mark.parametrize("drop", DROPS)
def test_the_first_step_is_that_of_dpo(name, drop):
    """With no budget at all the reference lies on the kink, where the slope is 0."""
    pairs = at_reference(1)
    weights = token_weights(name, pairs, lam=50.0, delta=0.0, drop=drop)
    expected = token_weights("dpo", pairs)
    np.testing.assert_array_equal(weights.chosen, expected.chosen)


def test_a_budget_is_spent_before_the_penalty_pulls():
    """Four tokens fall by 0.1, 0.2, 0.3 and 0.4 nats: 1 nat, a quarter per token."""
    fallen = jnp.array([[0.1, 0.2, 0.3, 0.4]])
    pairs = replace(
        random_pairs(2, batch=1, chosen_width=4),
        chosen_mask=jnp.ones((1, 4)),
        ref_chosen=jnp.full((1, 4), -1.0),
        chosen=-1.0 - fallen,
    )

    def penalty(drop, delta):
        added = bcr_added(pairs, lam=1.0, delta=delta, drop=drop)
        return float((added - dpo(pairs))[0])

    np.testing.assert_allclose(penalty("sequence", 0.75), 0.25, atol=1e-15)
    np.testing.assert_allclose(penalty("sequence", 1.5), 0.0, atol=1e-15)
    np.testing.assert_allclose(penalty("token_mean", 0.2), 0.05, atol=1e-15)
    np.testing.assert_allclose(penalty("tokenwise", 0.25), 0.2, atol=1e-15)
    weights = token_weights("bcr_added", pairs, lam=1.0, delta=0.25, drop="tokenwise")
    extra = weights.chosen - token_weights("dpo", pairs).chosen
    np.testing.assert_allclose(extra, [[0, 0, -1, -1]], atol=1e-15)


def test_the_base_is_any_loss():
    pairs = random_pairs(3)
    for base in ("simpo(gamma=1.0)", resolve("simpo", gamma=1.0)):
        bound = resolve("bcr_added", lam=1.0, delta=0.0, base=base)
        penalty = bcr_added(pairs, lam=1.0, delta=0.0) - dpo(pairs)
        expected = resolve("simpo(gamma=1.0)")(pairs) + penalty
        np.testing.assert_allclose(bound(pairs), expected, rtol=1e-14)
    written = resolve("bcr_added(lam=1, delta=0, base=simpo(gamma=1.0))")
    np.testing.assert_allclose(written(pairs), expected, rtol=1e-14)
    assert resolve(written.label).hyper == written.hyper


def test_what_the_base_needs_and_does_is_known():
    bound = resolve("bcr_added(lam=1, delta=0, base=wpo)")
    assert bound.needs_fields == (
        *("ref_chosen", "ref_rejected", "chosen_logsumsq", "rejected_logsumsq"),
    )
    assert bound.stops_gradient
    assert not bound.couples_batch
    coupled = resolve("bcr_added(lam=1, delta=0, base=exmate(reduction=batch))")
    assert coupled.couples_batch


def test_a_base_without_closed_form_leaves_none():
    def own(pairs):
        return dpo(pairs)

    bound = resolve("bcr_added", lam=1.0, delta=0.0, base=own)
    assert bound.closed_form(random_pairs(4)) is None


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"lam": 1.0}, "needs a value for delta"),
        ({}, "needs a value for lam, delta"),
        (
            {"lam": 1.0, "delta": -1.0},
            r"delta=-1.0 is out of range; expected \[0.0, inf",
        ),
        ({"lam": 1.0, "delta": 0.0, "drop": "pair"}, "drop='pair' is unknown"),
        (
            {"lam": 1.0, "delta": 0.0, "base": "dpo", "beta": 0.3},
            r"beta=0.3 belongs to the default base.*base='dpo\(beta=0.3\)'",
        ),
    ],
)
def test_refusals(hyper, message):
    with pytest.raises(LossInputError, match=message):
        resolve("bcr_added", **hyper)(random_pairs(5))


def test_variant_b_takes_no_base():
    with pytest.raises(LossInputError, match="no hyperparameter 'base'"):
        resolve("bcr_inside", lam=1.0, delta=0.0, base="dpo")
    assert bcr_inside(random_pairs(6), lam=1.0, delta=0.0).shape == (3,)
