"""SamPO's draw and WPO's weight."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import dpo, draw_kept, sampo, wpo

from .cases import random_pairs


@pytest.fixture
def pairs():
    return random_pairs(0)


def lengths(pairs):
    return np.array(
        [
            [m[i].sum() for m in (pairs.chosen_mask, pairs.rejected_mask)]
            for i in range(3)
        ]
    )


def test_both_sides_keep_as_many_as_the_shorter_has(pairs):
    kept = draw_kept(pairs, jax.random.key(1))
    expected = lengths(pairs).min(1)
    for side in ("chosen", "rejected"):
        selection = np.asarray(getattr(kept, side))
        np.testing.assert_array_equal(selection.sum(1), expected)
        assert not selection[np.asarray(getattr(pairs, f"{side}_mask")) == 0].any()


def test_every_token_is_kept_equally_often():
    mask = jnp.ones((2, 6)).at[1, 4:].set(0)
    pairs = random_pairs(1, batch=2, chosen_width=2, rejected_width=6)
    pairs = replace(pairs, chosen_mask=jnp.ones((2, 2)), rejected_mask=mask)
    keys = jax.random.split(jax.random.key(0), 4000)
    kept = jax.jit(jax.vmap(lambda k: draw_kept(pairs, k).rejected))(keys)
    share = np.asarray(kept, float).mean(0)
    # Standard error at most 0.008: five of them.
    np.testing.assert_allclose(share[0], 2 / 6, atol=0.04)
    np.testing.assert_allclose(share[1], [0.5] * 4 + [0, 0], atol=0.04)
    both = np.asarray(kept[:, 0, 0] & kept[:, 0, 1], float).mean()
    np.testing.assert_allclose(both, 2 / 6 * 1 / 5, atol=0.03)


def test_pairs_are_drawn_independently():
    pairs = random_pairs(2, batch=2, chosen_width=4, rejected_width=16)
    pairs = replace(
        pairs, chosen_mask=jnp.ones((2, 4)), rejected_mask=jnp.ones((2, 16))
    )
    kept = draw_kept(pairs, jax.random.key(0)).rejected
    assert jnp.any(kept[0] != kept[1])


def test_a_seed_a_key_and_a_given_selection_agree(pairs):
    kept = draw_kept(pairs, jax.random.key(7))
    given = replace(pairs, chosen_keep=kept.chosen, rejected_keep=kept.rejected)
    without = replace(pairs, chosen_keep=None, rejected_keep=None)
    np.testing.assert_array_equal(sampo(without, key=7), sampo(given))
    np.testing.assert_array_equal(sampo(pairs, key=jax.random.key(7)), sampo(given))
    jitted = jax.jit(lambda p, k: sampo(p, key=k))(pairs, jax.random.key(7))
    np.testing.assert_allclose(jitted, sampo(given), rtol=1e-6)
    assert jnp.any(sampo(pairs, key=8) != sampo(given))


def test_only_kept_tokens_weigh(pairs):
    weights = token_weights("sampo", pairs)
    assert jnp.all((weights.rejected != 0) == (pairs.rejected_keep > 0))
    assert jnp.all((weights.chosen != 0) == (pairs.chosen_keep > 0))


def test_independent_draws_are_noisy_at_the_reference(pairs):
    pairs = random_pairs(3, chosen_width=3, rejected_width=12)
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    shared = sampo(pairs, key=1)
    np.testing.assert_allclose(shared, np.log(2), rtol=1e-6)
    independent = sampo(pairs, key=1, shared_indices=False)
    assert jnp.any(jnp.abs(independent - np.log(2)) > 1e-3)


def test_independent_draws_need_a_key(pairs):
    with pytest.raises(LossInputError, match="shared_indices=False draws twice"):
        sampo(pairs, shared_indices=False)


def test_wpo_weight_by_hand():
    """u_w = exp(mean(0.2, 0.4)), u_l = exp(-0.5): W = exp(-0.2)."""
    logps = jnp.array([[-1.0, -1.0]])
    mask = jnp.ones((1, 2))
    pairs = replace(
        random_pairs(0, batch=1, chosen_width=2, rejected_width=2),
        chosen=logps,
        rejected=logps,
        chosen_mask=mask,
        rejected_mask=mask,
        chosen_logsumsq=jnp.array([[-1.2, -1.4]]),
        rejected_logsumsq=jnp.array([[-0.5, -0.5]]),
    )
    for clamp in (True, False):
        ratio = wpo(pairs, beta=0.1, clamp=clamp) / dpo(pairs, beta=0.1)
        np.testing.assert_allclose(ratio, np.exp(-0.2), rtol=1e-6)
    likely = replace(pairs, rejected_logsumsq=jnp.array([[-1.5, -1.5]]))
    capped = wpo(likely, beta=0.1) / dpo(likely, beta=0.1)
    np.testing.assert_allclose(capped, 1.0, rtol=1e-6)
    free = wpo(likely, beta=0.1, clamp=False) / dpo(likely, beta=0.1)
    np.testing.assert_allclose(free, np.exp(0.8), rtol=1e-6)
