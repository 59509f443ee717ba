"""What every loss of the table promises, whatever it computes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights, value_and_token_weights
from gradlab.losses import LOSSES, resolve

from .cases import T_CHOSEN, T_REJECTED, B, random_pairs, setting_id, settings

every_setting = pytest.mark.parametrize(("name", "hyper"), settings(), ids=setting_id)
SIDES = ("chosen", "rejected")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def kinked_at(name, pairs, hyper) -> bool:
    """Whether a pair lies so close to a kink that differences straddle it."""
    shift = {"chosen": pairs.chosen + 1e-5, "rejected": pairs.rejected - 1e-5}
    here = token_weights(name, pairs, **hyper)
    there = token_weights(name, replace(pairs, **shift), **hyper)
    gaps = [jnp.max(jnp.abs(getattr(here, s) - getattr(there, s))) for s in SIDES]
    return bool(max(gaps) > 1e-2)


@every_setting
def test_returns_one_finite_value_per_pair(name, hyper):
    values = resolve(name, **hyper)(random_pairs(0))
    assert values.shape == (B,)
    assert values.dtype == jnp.float64
    assert jnp.all(jnp.isfinite(values))


@every_setting
def test_weights_equal_the_closed_form(name, hyper):
    for seed in range(20):
        pairs = random_pairs(seed, left_padding=seed % 2 == 1)
        weights = token_weights(name, pairs, **hyper)
        closed = resolve(name, **hyper).closed_form(pairs)
        for side in SIDES:
            got, expected = getattr(weights, side), getattr(closed, side)
            assert expected.shape == got.shape
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@every_setting
def test_weights_equal_finite_differences(name, hyper):
    pairs = next(
        p for p in map(random_pairs, range(50)) if not kinked_at(name, p, hyper)
    )
    bound = resolve(name, **hyper)

    def total(chosen, rejected):
        return jnp.sum(bound(replace(pairs, chosen=chosen, rejected=rejected)))

    frozen = LOSSES[name].stops_gradient
    if not frozen:
        check_grads(
            total, (pairs.chosen, pairs.rejected), order=1, modes=("rev", "fwd")
        )


@every_setting
def test_masked_entries_do_nothing_whatever_they_hold(name, hyper):
    pairs = random_pairs(1)
    values, weights = value_and_token_weights(name, pairs, **hyper)
    for junk in (jnp.nan, -jnp.inf, jnp.inf, 0.0, 17.25, -1e30):
        spoilt = pairs
        for side in SIDES:
            mask = getattr(pairs, f"{side}_mask") > 0
            for field in (side, f"ref_{side}", f"{side}_logsumsq"):
                spoiled = jnp.where(mask, getattr(pairs, field), junk)
                spoilt = replace(spoilt, **{field: spoiled})
        got, got_weights = value_and_token_weights(name, spoilt, **hyper)
        np.testing.assert_array_equal(got, values)
        for side in SIDES:
            np.testing.assert_array_equal(
                getattr(got_weights, side), getattr(weights, side)
            )
            outside = getattr(pairs, f"{side}_mask") == 0
            assert jnp.all(getattr(got_weights, side)[outside] == 0.0)


@every_setting
@pytest.mark.parametrize("logp", [-1e4, -87.0, -1e-9])
def test_extremes_stay_finite_in_float32(name, hyper, logp):
    pairs = random_pairs(2, dtype=jnp.float32)
    for policy in SIDES:
        for reference in (-1e4, -1e-9):
            fields = {
                side: jnp.full_like(
                    getattr(pairs, side), logp if side == policy else -1
                )
                for side in SIDES
            }
            ref = {f"ref_{s}": jnp.full_like(fields[s], reference) for s in SIDES}
            extreme = replace(pairs, **fields, **ref)
            values, weights = value_and_token_weights(name, extreme, **hyper)
            assert values.dtype == jnp.float32
            assert jnp.all(jnp.isfinite(values)), (policy, reference)
            for side in SIDES:
                assert jnp.all(jnp.isfinite(getattr(weights, side))), (
                    policy,
                    reference,
                )


@every_setting
def test_an_empty_response_stays_finite(name, hyper):
    pairs = random_pairs(3)
    pairs = replace(pairs, chosen_mask=pairs.chosen_mask.at[0].set(0))
    values, weights = value_and_token_weights(name, pairs, **hyper)
    assert jnp.all(jnp.isfinite(values))
    assert jnp.all(jnp.isfinite(weights.chosen))
    assert jnp.all(weights.chosen[0] == 0)


@every_setting
def test_jit_changes_nothing(name, hyper):
    pairs = random_pairs(4)
    eager = value_and_token_weights(name, pairs, **hyper)
    jitted = jax.jit(lambda p: value_and_token_weights(name, p, **hyper))(pairs)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14),
        eager,
        jitted,
    )


@every_setting
def test_float32_agrees_with_float64(name, hyper):
    exact = value_and_token_weights(name, random_pairs(5), **hyper)
    single = value_and_token_weights(name, random_pairs(5, dtype=jnp.float32), **hyper)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5),
        single,
        exact,
    )


@every_setting
def test_padding_side_and_width_do_not_matter(name, hyper):
    pairs = random_pairs(6)
    values, weights = value_and_token_weights(name, pairs, **hyper)
    before, after = 2, 3

    def widen(x):
        pad = [(0, 0), (before, after)]
        return jnp.pad(x, pad) if x.ndim == 2 else x

    wide_values, wide = value_and_token_weights(
        name, jax.tree.map(widen, pairs), **hyper
    )
    np.testing.assert_allclose(wide_values, values, rtol=1e-13)
    for side, width in zip(SIDES, (T_CHOSEN, T_REJECTED), strict=True):
        inner = getattr(wide, side)[:, before : before + width]
        np.testing.assert_allclose(inner, getattr(weights, side), rtol=1e-13)


@every_setting
def test_order_of_the_batch_does_not_matter(name, hyper):
    pairs = random_pairs(7)
    order = jnp.array([2, 0, 1])
    values, weights = value_and_token_weights(name, pairs, **hyper)
    permuted = jax.tree.map(lambda x: x[order] if x.ndim == 2 else x, pairs)
    new_values, new_weights = value_and_token_weights(name, permuted, **hyper)
    if not LOSSES[name].values_by_rank:
        np.testing.assert_allclose(new_values, values[order], rtol=1e-13)
    np.testing.assert_allclose(jnp.mean(new_values), jnp.mean(values), rtol=1e-13)
    for side in SIDES:
        np.testing.assert_allclose(
            getattr(new_weights, side), getattr(weights, side)[order], rtol=1e-13
        )


@every_setting
def test_pairs_couple_only_where_the_table_says_so(name, hyper):
    pairs = random_pairs(8)
    alone = jax.tree.map(lambda x: x[:1] if x.ndim == 2 else x, pairs)
    together, _ = value_and_token_weights(name, pairs, **hyper)
    single, _ = value_and_token_weights(name, alone, **hyper)
    same = np.allclose(single[0], together[0], rtol=1e-12)
    assert same != resolve(name, **hyper).couples_batch


@every_setting
def test_vmap_over_pairs_equals_the_batch(name, hyper):
    if resolve(name, **hyper).couples_batch:
        pytest.skip("a batch-coupled loss has no meaning for one pair alone")
    pairs = replace(random_pairs(9), kl_logratios=None)
    mapped = jax.vmap(resolve(name, **hyper))(pairs)
    np.testing.assert_allclose(mapped, resolve(name, **hyper)(pairs), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_reference_is_demanded_exactly_where_the_table_says_so(name):
    pairs = replace(random_pairs(10), ref_chosen=None, ref_rejected=None)
    required = resolve(name) if LOSSES[name].needs_reference else None
    if required is None:
        assert jnp.all(jnp.isfinite(resolve(name)(pairs)))
    else:
        with pytest.raises(LossInputError, match=r"PairLogps\.ref_chosen"):
            required(pairs)


@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_reaches_the_reference(name):
    pairs = random_pairs(11)

    def total(ref_chosen, ref_rejected):
        shifted = replace(pairs, ref_chosen=ref_chosen, ref_rejected=ref_rejected)
        return jnp.sum(resolve(name)(shifted))

    grads = jax.grad(total, argnums=(0, 1))(pairs.ref_chosen, pairs.ref_rejected)
    assert all(jnp.all(g == 0) for g in grads)
