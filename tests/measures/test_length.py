"""Weights by length, doubling and padding, against closed forms in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, random_pairs, resolve
from gradlab.measures import (
    averages_tokens,
    doubling_change,
    length_weights,
    margin,
    padded,
    padding_effect,
)


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def pairs():
    return random_pairs(1, batch=6)


def counts(pairs):
    return np.asarray(pairs.chosen_mask.sum(1)), np.asarray(pairs.rejected_mask.sum(1))


@pytest.mark.parametrize("averaged", [False, True])
def test_one_number_per_pair_spread_over_tokens(pairs, averaged):
    """c on every token of summed losses, c / L of averaged ones."""
    loss = "averaged_dpo(beta=2)" if averaged else "dpo(beta=0.3)"
    beta = 2 if averaged else 0.3
    found = length_weights(token_weights(loss, pairs), pairs)
    m = beta * margin(pairs, averaged=averaged, reference=True)
    c = np.asarray(beta * jax.nn.sigmoid(-m))
    slope = found.slope_averaged if averaged else found.slope_summed
    np.testing.assert_allclose(slope, -c, rtol=1e-12)
    for side, length in zip(("chosen", "rejected"), counts(pairs), strict=True):
        mass = c if averaged else c * length
        np.testing.assert_allclose(getattr(found.mass, side), mass, rtol=1e-12)
        each = getattr(found.per_token, side)
        np.testing.assert_allclose(each, mass / length, rtol=1e-12)


def test_slopes_are_derivatives_along_the_margin(pairs):
    """Any loss: raise each chosen token, lower each rejected one, by hand."""
    loss, step = resolve("orpo"), 1e-5
    found = length_weights(token_weights(loss, pairs), pairs)
    one, two = (x[:, None] for x in counts(pairs))

    def moved(by_chosen, by_rejected):
        from dataclasses import replace

        return loss(
            replace(
                pairs,
                chosen=pairs.chosen + by_chosen,
                rejected=pairs.rejected - by_rejected,
            )
        )

    for slope, a, b in (
        (found.slope_summed, 0.5 / one, 0.5 / two),
        (found.slope_averaged, 0.5, 0.5),
    ):
        numeric = (moved(step * a, step * b) - moved(-step * a, -step * b)) / (2 * step)
        np.testing.assert_allclose(slope, numeric, rtol=1e-6)


AVERAGED = ("averaged_dpo", "ipo(reduction=mean)", "simpo", "alphapo", "orpo",
            "mle(reduction=mean)")  # fmt: skip
SUMMED = ("dpo", "ipo", "rdpo", "lddpo", "sampo", "mle", "dpop(lam=1)", "cpo")


@pytest.mark.parametrize("loss", AVERAGED + SUMMED)
def test_doubling_tells_averaged_losses(loss):
    assert averages_tokens(loss) == (loss in AVERAGED)


def test_doubling_every_token_doubles_the_margin(pairs):
    once, twice = resolve("dpo(beta=0.1)"), resolve("dpo(beta=0.2)")
    expected = twice(pairs) - once(pairs)
    np.testing.assert_allclose(doubling_change(once, pairs), expected, atol=1e-14)
    change = doubling_change("averaged_dpo", pairs)
    np.testing.assert_allclose(change, 0, atol=1e-14)


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_padding_of_summed_and_averaged_losses(pairs, side):
    """Neutral tokens dilute averages only; typical ones reach sums only."""
    count, length = 3, counts(pairs)[side == "rejected"]
    plain = padding_effect("dpo", pairs, side, count)
    np.testing.assert_allclose(plain.value_change, 0, atol=1e-14)
    np.testing.assert_allclose(plain.weight_ratio, 1)
    typical = padding_effect("averaged_dpo", pairs, side, count, kind="typical")
    np.testing.assert_allclose(typical.value_change, 0, atol=1e-14)
    np.testing.assert_allclose(typical.weight_ratio, length / (length + count))
    diluted = padding_effect("averaged_dpo", pairs, side, count)
    m = margin(padded(pairs, side, count), averaged=True, reference=True)
    expected = jax.nn.softplus(-5.0 * m) - resolve("averaged_dpo")(pairs)
    np.testing.assert_allclose(diluted.value_change, expected / count, rtol=1e-12)
    assert np.abs(diluted.value_change).max() > 1e-3


def test_neutral_tokens_leave_summed_log_ratios_alone(pairs):
    longer = padded(pairs, "chosen", 4)
    for kind, same in (("neutral", True), ("typical", False)):
        longer = padded(pairs, "chosen", 4, kind=kind)
        old, new = (margin(p, averaged=False, reference=True) for p in (pairs, longer))
        assert np.allclose(old, new, atol=1e-12) == same
    assert longer.chosen.shape[1] == pairs.chosen.shape[1] + 4
    np.testing.assert_array_equal(longer.chosen_mask.sum(1), counts(pairs)[0] + 4)


def test_rdpo_answers_to_length_itself(pairs):
    """At policy = reference R-DPO's margin is alpha times the length difference."""
    from dataclasses import replace

    same = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    gap = counts(pairs)[0] - counts(pairs)[1]
    found = padding_effect("rdpo(alpha=0.01)", same, "chosen").value_change
    expected = np.logaddexp(0, -0.01 * (gap + 1)) - np.logaddexp(0, -0.01 * gap)
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_every_loss_can_be_padded(pairs):
    for name, info in LOSSES.items():
        if not info.required:
            effect = padding_effect(name, pairs, "rejected")
            assert jnp.isfinite(effect.value_change).all(), name


def test_sampo_draws_the_same_chance_again(pairs):
    """Padding the longer side redraws its selection, not that of the other side."""
    longer = padded(pairs, "rejected", 20)
    assert (longer.chosen_keep == (pairs.chosen_mask > 0)).all()
    np.testing.assert_array_equal(longer.rejected_keep.sum(1), counts(pairs)[0])


@pytest.mark.parametrize(
    "arguments", [("left", 1, "neutral"), ("chosen", 0, "neutral"), ("chosen", 1, "x")]
)
def test_refusals(pairs, arguments):
    side, count, kind = arguments
    with pytest.raises(GradlabError, match="expected chosen or rejected"):
        padded(pairs, side, count, kind=kind)
