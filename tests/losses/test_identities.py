"""Relations between losses, and numbers that can be worked out on paper."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, example_pair, resolve
from gradlab.types import PairLogps

from .cases import random_pairs


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def same(first: str, second: str, pairs: PairLogps, scale: float = 1.0) -> None:
    np.testing.assert_allclose(
        resolve(first)(pairs), scale * resolve(second)(pairs), rtol=1e-12, atol=1e-13
    )
    one, two = token_weights(first, pairs), token_weights(second, pairs)
    for side in ("chosen", "rejected"):
        got, expected = getattr(one, side), scale * getattr(two, side)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def equal_lengths(seed: int) -> PairLogps:
    pairs = random_pairs(seed)
    fields = {}
    for name in ("chosen", "ref_chosen", "rejected", "ref_rejected"):
        fields[name] = getattr(pairs, name)[:, :5]
    mask = jnp.ones((3, 5))
    return PairLogps(**fields, chosen_mask=mask, rejected_mask=mask)


def test_dpop_without_penalty_is_dpo():
    same("dpop(lam=0, beta=0.1)", "dpo", random_pairs(0))


def test_averaged_losses_at_equal_lengths():
    pairs = equal_lengths(1)
    same("averaged_dpo(beta=0.5)", "dpo(beta=0.1)", pairs)
    same("ipo(tau=0.5, reduction=mean)", "ipo(tau=0.1)", pairs, scale=1 / 25)


def test_rpo_is_dpo_plus_likelihood():
    same("rpo(beta=0.1, eta=0.5)", "dpo + 0.05*mle", random_pairs(2))


def test_exmate_is_below_sequence_unlikelihood():
    pairs = random_pairs(3)
    sums = jnp.sum(jnp.where(pairs.rejected_mask > 0, pairs.rejected, 0), -1)
    unlikelihood = -jnp.log(-jnp.expm1(sums))
    penalty = resolve("exmate(reduction=sum, lam=1)")(pairs) - resolve("mle")(pairs)
    assert jnp.all(penalty <= unlikelihood)


@pytest.mark.parametrize("name", ["dpo", "averaged_dpo", "dpop"])
def test_step_zero_value_is_log_two(name):
    pairs = random_pairs(4)
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    np.testing.assert_allclose(resolve(name)(pairs), math.log(2), rtol=1e-15)


def test_step_zero_dpo_weight_is_half_beta_on_every_token():
    pairs = random_pairs(5)
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    weights = token_weights("dpo", pairs, beta=0.3)
    np.testing.assert_allclose(weights.chosen, -0.15 * pairs.chosen_mask, rtol=1e-15)
    np.testing.assert_allclose(weights.rejected, 0.15 * pairs.rejected_mask, rtol=1e-15)


def test_dpop_starts_on_its_kink_with_the_gradient_of_dpo():
    """relu gives -0.15; jnp.maximum would give -3.9 and torch.clamp -7.65."""
    pairs = random_pairs(6)
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    weights = token_weights("dpop", pairs, beta=0.3, lam=50.0)
    np.testing.assert_allclose(weights.chosen, -0.15 * pairs.chosen_mask, rtol=1e-15)


def test_losses_of_the_margin_alone_push_both_sides_equally():
    pairs = equal_lengths(7)
    for name in ("dpo", "ipo", "hinge", "averaged_dpo"):
        weights = token_weights(name, pairs)
        np.testing.assert_allclose(weights.chosen, -weights.rejected, rtol=1e-12)


def test_penalty_on_a_bad_token_against_its_probability():
    """Unlikelihood: the odds; ExMATE: the probability itself; DPO: at most beta."""
    p = jnp.array([[1e-6, 0.1, 0.5, 0.9, 1 - 1e-6]])
    one = jnp.ones((1, 5))
    pairs = PairLogps(jnp.log(p), jnp.log(p), one, one, jnp.log(p), jnp.log(p))
    odds = token_weights("unlikelihood_token", pairs).rejected
    np.testing.assert_allclose(odds, p / (1 - p), rtol=1e-9)
    token = token_weights("exmate", pairs, reduction="token", lam=1.0).rejected
    np.testing.assert_allclose(token, p, rtol=1e-14)
    assert jnp.all(token_weights("dpo", pairs, beta=0.2).rejected <= 0.2)


def test_the_worked_example_of_the_conventions():
    """Sums by hand: a = 0.5, b = -0.5, A_w = A_l = -1.5."""
    pairs = jax.tree.map(lambda x: x.astype(float), example_pair())
    by_hand = {
        "mle": 3.0,
        "dpo": math.log1p(math.exp(-0.1)),
        "ipo": (1.0 - 5.0) ** 2,
        "ipo(reduction=mean)": (0.5 / 2 + 0.5 / 3 - 5.0) ** 2,
        "hinge": 0.9,
        "slic": 0.3,
        "averaged_dpo": math.log1p(math.exp(-5 * (0.25 + 1 / 6))),
        "dpop": math.log1p(math.exp(-0.3)),
        "simpo": math.log1p(math.exp(0.5)),
        "orpo": 1.5 + 0.1 * math.log(2),
        "rpo": math.log1p(math.exp(-0.01)) + 0.01 * 0.005 * 3,
        "exmate": 1.5 + 0.05 * math.exp(-1.5),
        "exmate(reduction=token)": 3
        + 0.05 * (math.exp(-1) + math.exp(-3) + math.exp(-0.5)),
        "unlikelihood_token": 3
        - sum(math.log(1 - math.exp(x)) for x in (-1.0, -3.0, -0.5)),
    }
    for name, value in by_hand.items():
        np.testing.assert_allclose(resolve(name)(pairs)[0], value, rtol=1e-14)
    covered = {name.partition("(")[0] for name in by_hand}
    assert covered <= set(LOSSES)
    assert len(covered) >= 12
