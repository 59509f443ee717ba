"""The budget: its limits, its kink, its shape, the base loss."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import bcr_added, bcr_inside, dpo, resolve
from gradlab.types import PairLogps

from .cases import random_pairs

DROPS = ("sequence", "token_mean", "tokenwise")
SHAPES = ("hinge", "squared", "softplus")
BASES = ("dpo(beta=0.3)", "averaged_dpo", "simpo", "ipo", "ipo(reduction=mean)")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def at_reference(seed):
    pairs = random_pairs(seed)
    return replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)


def fallen_pair() -> PairLogps:
    """Four chosen tokens fell by 0.1 to 0.4 nats from -1, two rejected rose by 0.25.

    Sums: a = -1, b = 0.5, S_w = -5, S_l = -1.5.
    """
    fallen, risen = jnp.array([[0.1, 0.2, 0.3, 0.4]]), jnp.full((1, 2), 0.25)
    return PairLogps(
        -1.0 - fallen, -1.0 + risen, jnp.ones((1, 4)), jnp.ones((1, 2)),
        ref_chosen=jnp.full((1, 4), -1.0), ref_rejected=jnp.full((1, 2), -1.0),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["bcr_added", "bcr_inside"])
@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_endless_budget_leaves_the_base(name, drop, shape):
    pairs = random_pairs(0)
    for base in (None, *BASES):
        expected = resolve(base or "dpo")(pairs)
        for delta in (1e9, float("inf")):
            hyper = {"lam": 5.0, "delta": delta, "drop": drop, "shape": shape}
            bound = resolve(name, base=base, **hyper)
            np.testing.assert_array_equal(bound(pairs), expected)
            assert np.isfinite(token_weights(bound, pairs).chosen).all()


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
    pairs = fallen_pair()

    def penalty(drop, delta, shape="hinge"):
        added = bcr_added(pairs, lam=1.0, delta=delta, drop=drop, shape=shape)
        return float((added - dpo(pairs))[0])

    np.testing.assert_allclose(penalty("sequence", 0.75), 0.25, atol=1e-15)
    np.testing.assert_allclose(penalty("sequence", 1.5), 0.0, atol=1e-15)
    np.testing.assert_allclose(penalty("token_mean", 0.2), 0.05, atol=1e-15)
    np.testing.assert_allclose(penalty("tokenwise", 0.25), 0.2, atol=1e-15)
    np.testing.assert_allclose(penalty("sequence", 0.75, "squared"), 0.0625, atol=1e-15)
    np.testing.assert_allclose(
        penalty("tokenwise", 0.25, "squared"), 0.05**2 + 0.15**2, atol=1e-15
    )
    np.testing.assert_allclose(
        penalty("sequence", 1.5, "softplus"), math.log1p(math.exp(-0.5)), atol=1e-15
    )
    weights = token_weights("bcr_added", pairs, lam=1.0, delta=0.25, drop="tokenwise")
    extra = weights.chosen - token_weights("dpo", pairs).chosen
    np.testing.assert_allclose(extra, [[0, 0, -1, -1]], atol=1e-15)


@pytest.mark.parametrize(
    ("base", "value", "d_chosen", "d_rejected"),
    [
        # Plain 42.25: the margin -1.5 falls by 2 x 0.25 nats, 7 from the target.
        ("ipo", 49.0, -42.0, 14.0),
        # Per token: -1/4 falls by 0.5/4, less 0.25, is 5.625 from the target.
        ("ipo(reduction=mean)", 5.625**2, -3 * 11.25 / 4, 11.25 / 2),
        # 2 (-1.25 - 0.5/4 + 0.75) - 0.5 = -1.75; of its slope 2 s(1.75).
        ("simpo", math.log1p(math.exp(1.75)), -1.5 * 0.85195280, 0.85195280),
        # m = 0.1 (-1.5 - 0.5) = -0.2; of its slope 0.1 s(0.2).
        ("dpo", math.log1p(math.exp(0.2)), -0.3 * 0.54983400, 0.1 * 0.54983400),
    ],
)
def test_inside_the_base_sees_the_chosen_side_lower(base, value, d_chosen, d_rejected):
    """Fallen by 1 nat on a budget of 0.75, lambda 2: the base reads 0.5 nats less."""
    pairs, hyper = fallen_pair(), {"lam": 2.0, "delta": 0.75, "base": base}
    np.testing.assert_allclose(bcr_inside(pairs, **hyper), [value], rtol=1e-12)
    weights = token_weights("bcr_inside", pairs, **hyper)
    np.testing.assert_allclose(weights.chosen, np.full((1, 4), d_chosen), rtol=1e-7)
    np.testing.assert_allclose(weights.rejected, np.full((1, 2), d_rejected), rtol=1e-7)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_closed_forms_inside_are_the_derivative(base, drop, shape):
    pairs = random_pairs(7, batch=12)
    bound = resolve(
        "bcr_inside", lam=3.0, delta=0.05, drop=drop, shape=shape, base=base
    )
    got, expected = bound.closed_form(pairs), token_weights(bound, pairs)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    plain = token_weights(base, pairs)
    assert np.abs(got.chosen - plain.chosen).max() > 1e-4


def test_beyond_its_target_ipo_pushes_the_chosen_side_down_harder():
    """a = -1 and b = -20: a margin of 19 is far beyond the target of 5."""
    pairs = fallen_pair()
    pairs = replace(pairs, rejected=pairs.ref_rejected - 10.0)
    plain = token_weights("ipo", pairs)
    held = token_weights("bcr_inside", pairs, lam=2.0, delta=0.5, base="ipo")
    np.testing.assert_allclose(plain.chosen, np.full((1, 4), 28.0))
    np.testing.assert_allclose(held.chosen, np.full((1, 4), 3 * 26.0))


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

    for name in ("bcr_added", "bcr_inside"):
        bound = resolve(name, lam=1.0, delta=0.0, base=own)
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
        ({"lam": 1.0, "delta": 0.0, "shape": "abs"}, "shape='abs' is unknown"),
        (
            {"lam": 1.0, "delta": 0.0, "base": "dpo", "beta": 0.3},
            r"beta=0.3 belongs to the default base.*base='dpo\(beta=0.3\)'",
        ),
    ],
)
def test_refusals(hyper, message):
    for name in ("bcr_added", "bcr_inside"):
        with pytest.raises(LossInputError, match=message):
            resolve(name, **hyper)(random_pairs(5))
