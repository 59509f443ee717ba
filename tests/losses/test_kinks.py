"""What happens exactly on a kink, where public code disagrees."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import token_weights

from .cases import random_pairs


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def one_token(chosen: float, rejected: float):
    """One token a side with log-ratios `chosen` and `rejected` to a reference of -4."""
    ref = jnp.full((1, 1), -4.0)
    return replace(
        random_pairs(0, batch=1, chosen_width=1, rejected_width=1),
        chosen=ref + chosen,
        rejected=ref + rejected,
        chosen_mask=jnp.ones((1, 1)),
        rejected_mask=jnp.ones((1, 1)),
        ref_chosen=ref,
        ref_rejected=ref,
    )


def slopes(loss, chosen, rejected):
    weights = token_weights(loss, one_token(chosen, rejected))
    return float(weights.chosen[0, 0]), float(weights.rejected[0, 0])


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected", "expected"),
    [
        ("hinge(beta=0.5)", 2.0, 0.0, (0.0, 0.0)),
        ("hinge(beta=0.5)", 1.0, 0.0, (-0.5, 0.5)),
        ("spin(beta=0.5, link=hinge)", 2.0, 0.0, (0.0, 0.0)),
        ("slic(delta=2, beta=1, lam=0.25)", 2.0, 0.0, (-0.25, 0.0)),
        ("gsil(kind=hinge, scale=0.5)", 2.0, -2.0, (0.0, 0.0)),
        ("gsil(kind=hinge, scale=0.5)", 1.5, -1.5, (-0.5, 0.5)),
        ("dpop(beta=0.4, lam=50)", 0.0, 0.0, (-0.2, 0.2)),
        ("dpop_outside(beta=0.4)", 0.0, 0.0, (-0.2, 0.2)),
        ("dpop_inside_nobeta(beta=0.4)", 0.0, 0.0, (-0.2, 0.2)),
        ("bpo(beta=0.4, alpha=0.5)", 0.0, 0.0, (-0.1, 0.05)),
        ("kto_pair(beta=0.4)", 0.0, 0.0, (-0.05, 0.05)),
        ("apo_down(beta=0.4)", 0.0, 0.0, (0.0, 0.1)),
        ("cal_dpo(beta=0.5)", 0.0, 0.0, (-1.5, 1.5)),
    ],
)
def test_slopes_at_kinks_and_at_the_reference(loss, chosen, rejected, expected):
    np.testing.assert_allclose(slopes(loss, chosen, rejected), expected, atol=1e-15)


def test_beyond_its_tie_bpo_moves_one_side_only():
    s = 1 / (1 + np.exp(0.1))
    chosen, rejected = slopes("bpo(beta=0.1, alpha=0.5)", 1.0, 1.0)
    assert chosen == 0.0
    np.testing.assert_allclose(rejected, 0.05 / (1 + np.exp(-0.05)), rtol=1e-12)
    chosen, rejected = slopes("bpo(beta=0.1, alpha=0.5)", -1.0, 1.0)
    np.testing.assert_allclose(chosen, -0.1 * (1 - s), rtol=1e-12)
    assert rejected == 0.0


def test_kto_pairs_means_pass_their_slope_only_above_zero():
    """At a = b = 0 relu passes nothing; just above, each mean adds as much again."""
    here = slopes("kto_pair(beta=0.4)", 1e-9, 1e-9)
    np.testing.assert_allclose(here, (-0.1, 0.1), rtol=1e-6)
    detached = slopes("kto_pair(beta=0.4, detach_kl=True)", 1e-9, 1e-9)
    np.testing.assert_allclose(detached, (-0.05, 0.05), rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected"),
    [
        ("f_dpo(divergence=forward_kl, exp_clip=2.0)", -2.0, 0.0),
        ("f_dpo(divergence=alpha, alpha=0.5, exp_clip=2.0)", -4.0, 0.0),
    ],
)
def test_at_the_clip_a_side_stands_still(loss, chosen, rejected):
    at_clip = slopes(loss, chosen, rejected)
    assert at_clip[0] == 0.0
    assert at_clip[1] > 0.0
    assert slopes(loss, chosen + 1e-6, rejected)[0] < 0.0


def test_aot_breaks_ties_by_the_order_of_the_batch():
    pairs = random_pairs(1, batch=2)
    pairs = jax.tree.map(lambda x: x[jnp.array([0, 0])] if x.ndim == 2 else x, pairs)
    ref = pairs.ref_chosen.at[1].add(-3.0 * pairs.chosen_mask[1])
    pairs = replace(pairs, ref_chosen=ref)
    weights = token_weights("aot(beta=0.5)", pairs)
    first, second = (float(jnp.min(weights.chosen[i])) for i in (0, 1))
    # The first pair meets the lower reference margin, so less is missing there.
    assert first > second
