"""What every loss of the table promises, whatever it computes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES, BoundLoss, dpo, resolve
from gradlab.losses.contract import CHECKS, check_loss
from gradlab.losses.contract.derivatives import finite_differences, third_derivatives
from gradlab.losses.contract.tools import (
    Broken,
    NotApplicable,
    away_from_kinks,
    expect_same,
    value_and_weights,
)

from .cases import VARIANTS, one_setting, random_pairs, setting_id, settings
from .frozen import frozen_at

pytestmark = pytest.mark.filterwarnings("ignore:loss 'gsil'")
every_setting = pytest.mark.parametrize(("name", "hyper"), settings(), ids=setting_id)
stopping = [(n, h) for n, h in settings() if resolve(n, **h).stops_gradient]


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def test_every_loss_has_variants():
    assert set(VARIANTS) == set(LOSSES)


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "jit"])
@every_setting
def test_contract(name, hyper, check):
    if skip_is_expected(name, hyper, check):
        with pytest.raises(NotApplicable):
            CHECKS[check](resolve(name, **hyper))
    else:
        CHECKS[check](resolve(name, **hyper))


def test_jit_changes_nothing():
    """All settings in one program, which also bounds what compiling them costs."""
    pairs, bound = random_pairs(4), [resolve(n, **h) for n, h in settings()]
    jitted = jax.jit(lambda p: [value_and_weights(loss, p) for loss in bound])(pairs)
    for got, loss in zip(jitted, bound, strict=True):
        eager = value_and_weights(loss, pairs)
        expect_same(got, eager, f"{loss.label} under jit", rtol=1e-12, atol=1e-13)


def skip_is_expected(name, hyper, check) -> bool:
    """No check may drop out unnoticed."""
    bound = resolve(name, **hyper)
    return {
        "finite differences": bound.stops_gradient,
        "third derivatives": bound.stops_gradient,
        "batch order": "key" in hyper,
        "vmap": "key" in hyper or bound.couples_batch,
    }.get(check, False)


def test_what_stops_gradients_is_known():
    assert {name for name, _ in stopping} == {
        "wpo",
        "bco_pair",
        "kto_pair",
        "bcr_added",
        "bcr_inside",
    }


@pytest.mark.parametrize(("name", "hyper"), stopping, ids=setting_id)
def test_weights_are_the_slope_with_the_stopped_part_frozen(name, hyper):
    bound = resolve(name, **hyper)
    pairs = away_from_kinks(bound)
    frozen = frozen_at(bound, pairs)
    expect_same(frozen(pairs), bound(pairs), "frozen value", rtol=1e-15)
    weights = value_and_weights(bound, pairs)[1]
    expect_same(value_and_weights(frozen, pairs)[1], weights, "weights", rtol=1e-13)
    finite_differences(frozen)
    third_derivatives(frozen)
    with pytest.raises(Broken, match="finite difference"):
        finite_differences(BoundLoss(bound.label, bound))


@pytest.mark.parametrize("name", LOSSES)
def test_the_librarys_token_weights_are_those_of_the_contract(name):
    pairs, hyper = random_pairs(11), one_setting(name)
    got = value_and_token_weights(name, pairs, **hyper)
    expected = value_and_weights(resolve(name, **hyper), pairs)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def unmasked(pairs):
    return -jnp.sum(pairs.chosen, -1)


def by_batch(pairs):
    return dpo(pairs) - jnp.mean(dpo(pairs))


def naive_log(pairs):
    probs = jnp.where(pairs.rejected_mask > 0, jnp.exp(pairs.rejected), 0.5)
    return -jnp.sum(jnp.log(1 - probs), -1)


def wrong_slope(pairs):
    return dpo(pairs) * jax.lax.stop_gradient(dpo(pairs))


def through_reference(pairs):
    return -jnp.sum((pairs.chosen - pairs.ref_chosen) * pairs.chosen_mask, -1)


def by_place(pairs):
    return dpo(pairs) * jnp.arange(1.0, 1 + len(pairs.chosen))


def by_width(pairs):
    return dpo(pairs) / pairs.chosen.shape[-1]


def concrete(pairs):
    return float(pairs.chosen_mask[0, 0]) * dpo(pairs)


def scalar(pairs):
    return jnp.mean(dpo(pairs))


def mean_over_empty(pairs):
    return -jnp.sum(jnp.where(pairs.chosen_mask > 0, pairs.chosen, 0), -1) / jnp.sum(
        pairs.chosen_mask, -1
    )


def kept_in_half(pairs):
    return jnp.sum(jnp.where(pairs.chosen_mask > 0, pairs.chosen, 0), -1)


def single_inside(pairs):
    return dpo(pairs).astype(jnp.float32).astype(pairs.chosen.dtype)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (scalar, "one value per pair"),
        (wrong_slope, "finite differences"),
        (wrong_slope, "third derivatives"),
        (unmasked, "masked entries"),
        (naive_log, "extremes"),
        (mean_over_empty, "empty response"),
        (concrete, "jit"),
        (kept_in_half, "bfloat16"),
        (by_width, "padding"),
        (by_place, "batch order"),
        (by_place, "vmap"),
        (through_reference, "constants"),
    ],
)
def test_each_check_can_fail(function, check):
    verdict = {v.check: v for v in check_loss(function)}[check]
    assert verdict.outcome == "failed", verdict
    assert verdict.detail


def test_checks_against_the_table_can_fail():
    wrong = replace(
        LOSSES["dpo"],
        closed_form=lambda pairs, **_: LOSSES["hinge"].closed_form(pairs, beta=0.1),
        needs_fields=("ref_chosen",),
        couples_batch=True,
    )
    bound = replace(resolve("dpo"), info=wrong)
    for check in ("closed form", "needed fields", "coupling"):
        with pytest.raises(Broken):
            CHECKS[check](bound)


def test_single_precision_inside_is_seen():
    with pytest.raises(Broken, match="finite difference"):
        finite_differences(resolve(single_inside))


def test_check_loss_reports_every_check_of_a_sound_loss():
    verdicts = check_loss("dpo(beta=0.3)")
    assert [v.check for v in verdicts] == list(CHECKS)
    assert {v.outcome for v in verdicts} == {"passed"}
    assert all(v.promise for v in verdicts)
    coupled = {v.check: v for v in check_loss(by_batch)}
    assert coupled["coupling"].detail == "pairs couple through the batch"
    assert coupled["vmap"].outcome == "skipped"
    with pytest.raises(LossInputError, match="unknown loss"):
        check_loss("dpoo")
