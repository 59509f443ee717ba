"""Where TRL's DPO trainer computes something else than its names or papers say.

Each test states what TRL does today, so that a change upstream is noticed.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.parity.batches import ragged
from tests.parity.compare import on_logps, relative_error, value_error

pytestmark = pytest.mark.parity

EQUAL_TO_LABEL_SMOOTHING_0 = ["sigmoid", "hinge", "ipo", "sigmoid_norm", "discopop"]


@pytest.mark.parametrize("loss_type", EQUAL_TO_LABEL_SMOOTHING_0)
def test_label_smoothing_is_not_applied(trl_live, loss_type):
    """So TRL's `sigmoid` never is cDPO."""
    batch = ragged(0)
    plain = trl_live.dpo(batch, np.float64, loss_type=loss_type)
    smooth = trl_live.dpo(batch, np.float64, loss_type=loss_type, label_smoothing=0.3)
    assert plain.value == smooth.value
    assert np.array_equal(plain.chosen, smooth.chosen)


def test_sigmoid_with_label_smoothing_differs_from_cdpo(trl_live):
    batch = ragged(0)
    theirs = trl_live.dpo(batch, np.float64, label_smoothing=0.3)
    values, chosen, _ = on_logps("dpo(label_smoothing=0.3)", batch, np.float64)
    assert value_error(values, theirs.value) > 1e-3
    assert relative_error(chosen, theirs.chosen) > 0.1


def test_ipo_divides_by_the_response_length(trl_live):
    """Unlike the paper's Eq. 17 to the letter, the library's default."""
    batch = ragged(0)
    theirs = trl_live.dpo(batch, np.float64, loss_type="ipo")
    values, *_ = on_logps("ipo(tau=0.1)", batch, np.float64)
    assert value_error(values, theirs.value) > 1e-2


def test_without_a_prompt_the_first_token_counts_as_length_but_is_not_scored(trl_live):
    """The length comes from the unshifted mask: L + 1 for L scored tokens.

    Each response here loses its first token, which nothing precedes.
    """
    batch = ragged(0)
    batch = replace(batch, chosen=_at_least(batch.chosen, 2))
    batch = replace(batch, rejected=_at_least(batch.rejected, 2))
    theirs = trl_live.dpo(batch, np.float64, prompts=False, loss_type="ipo")
    scored = [
        np.where(side.mask, side.logps - side.ref, 0.0)[:, 1:].sum(-1)
        for side in (batch.chosen, batch.rejected)
    ]
    lengths = [side.mask.sum(-1) for side in (batch.chosen, batch.rejected)]
    for extra, agrees in ((0, True), (1, False)):
        a, b = (s / (n - extra) for s, n in zip(scored, lengths, strict=True))
        values = (a - b - 5.0) ** 2
        assert (value_error(values, theirs.value) < 1e-12) == agrees


def test_it_sums_every_position_of_the_head_output(trl_live):
    """TRL relies on the fused head for zeros off the mask; the gradient there isn't 0.

    Hence the comparisons are of gradients at response tokens.
    """
    batch = ragged(0)
    clean = trl_live.dpo(batch, np.float64)
    junk = trl_live.dpo(batch, np.float64, junk=-3.0)
    assert relative_error(junk.value, clean.value) > 1e-3


def test_exo_is_infinite_at_the_default_label_smoothing(trl_live):
    """The trainer's constructor refuses 0; the loss takes log(0) as it comes."""
    theirs = trl_live.dpo(ragged(0), np.float64, loss_type="exo_pair")
    assert np.isposinf(theirs.value)


@pytest.mark.parametrize(("dtype", "x"), [(np.float32, -89.0), (np.float64, -710.0)])
def test_discopop_is_nan_at_large_negative_margins(trl_live, dtype, x):
    """0 * inf: the sigmoid underflows where the exponential overflows."""
    batch = ragged(0)
    batch = _with_margin(batch, x / 0.05)
    theirs = trl_live.dpo(batch, dtype, loss_type="discopop", beta=0.05)
    assert np.isnan(theirs.value)
    assert np.isnan(theirs.chosen).any()
    values, chosen, rejected = on_logps("discopop(beta=0.05, tau=0.05)", batch, dtype)
    assert np.isfinite(values).all()
    assert np.isfinite(chosen).all()
    assert np.isfinite(rejected).all()


def test_the_alpha_divergence_refuses_float64(trl_live):
    with pytest.raises(KeyError, match="float64"):
        trl_live.dpo(ragged(0), np.float64, f_divergence_type="alpha_divergence")


@pytest.mark.parametrize("coefficient", [0.3, 0.5, 0.9])
def test_the_alpha_coefficient_is_one_minus_alpha(trl_live, coefficient):
    """f'(t) = (t^(c-1) - 1)/(c-1): the two readings meet at c = 1/2 only."""
    batch = ragged(0)
    theirs = trl_live.dpo(
        batch,
        np.float32,
        f_divergence_type="alpha_divergence",
        f_alpha_divergence_coef=coefficient,
    )

    def error(alpha):
        loss = f"f_dpo(divergence=alpha, alpha={alpha:.1f})"
        return value_error(on_logps(loss, batch, np.float32)[0], theirs.value)

    assert error(1.0 - coefficient) < 1e-5
    assert (error(coefficient) < 1e-4) == (coefficient == 0.5)


@pytest.mark.parametrize(
    ("coefficient", "divergence"), [(0.0, "forward_kl"), (1.0, "reverse_kl")]
)
def test_ends_of_the_alpha_family(trl_live, coefficient, divergence):
    for seed in range(10):
        batch = ragged(seed)
        theirs = trl_live.dpo(
            batch,
            np.float32,
            f_divergence_type="alpha_divergence",
            f_alpha_divergence_coef=coefficient,
        )
        values, chosen, _ = on_logps(
            f"f_dpo(divergence={divergence})", batch, np.float32
        )
        assert value_error(values, theirs.value) < 1e-5
        assert relative_error(chosen, theirs.chosen) < 1e-5


def test_the_alpha_exponent_stops_at_80(trl_live):
    """As with the library's `exp_clip`: constant beyond, no gradient."""
    batch = ragged(0).with_logps(chosen=-401.0, rejected=-1.0)
    theirs = trl_live.dpo(
        batch, np.float32, f_divergence_type="alpha_divergence", beta=1e-34
    )
    values, chosen, rejected = on_logps(
        "f_dpo(divergence=alpha, alpha=0.5, beta=1e-34)", batch, np.float32
    )
    assert np.isfinite(theirs.value)
    assert value_error(values, theirs.value) < 1e-5
    assert not theirs.chosen.any()
    assert not chosen.any()
    assert relative_error(rejected, theirs.rejected) < 1e-5


def test_forward_kl_is_not_clipped(trl_live):
    """exp(-a) overflows below a = -88 in float32, and the gradient is NaN."""
    batch = ragged(0).with_logps(chosen=-101.0, rejected=-1.0)
    theirs = trl_live.dpo(batch, np.float32, f_divergence_type="forward_kl")
    assert np.isposinf(theirs.value)
    assert not np.isfinite(theirs.chosen).all()
    values, chosen, _ = on_logps("f_dpo(divergence=forward_kl)", batch, np.float32)
    assert np.isfinite(values).all()
    assert np.isfinite(chosen).all()


def test_wpo_weights_exceed_one(trl_live):
    """TRL's product of weights is not clamped at 1, the authors' is."""
    batch = ragged(0)
    batch = replace(
        batch,
        chosen=replace(batch.chosen, log_sum_sq=1.9 * batch.chosen.logps - 1e-3),
        rejected=replace(batch.rejected, log_sum_sq=1.9 * batch.rejected.logps - 1e-3),
    )
    theirs = trl_live.dpo(batch, np.float64, use_weighting=True)
    free, *_ = on_logps("wpo(beta=0.1, clamp=False)", batch, np.float64)
    clamped, *_ = on_logps("wpo(beta=0.1, clamp=True)", batch, np.float64)
    assert value_error(free, theirs.value) < 1e-10
    assert theirs.value > 1.05 * np.mean(clamped)


def test_weighting_the_sft_term_fails(trl_live):
    """It multiplies an expanded tensor in place."""
    with pytest.raises(RuntimeError, match="single memory location"):
        trl_live.dpo(ragged(0), np.float64, loss_type="sft", use_weighting=True)


def test_ld_alpha_weights_the_reference_too(trl_live):
    """So the margin is 0 where policy equals reference, whatever alpha is."""
    batch = ragged(0).with_logps(chosen=-0.7, rejected=-1.3)
    batch = replace(
        batch,
        chosen=replace(batch.chosen, ref=batch.chosen.logps),
        rejected=replace(batch.rejected, ref=batch.rejected.logps),
    )
    theirs = trl_live.dpo(batch, np.float64, ld_alpha=0.3)
    assert theirs.value == pytest.approx(np.log(2.0), rel=1e-12)
    unweighted, *_ = on_logps(
        "lddpo(alpha=0.3, weight_reference=False)", batch, np.float64
    )
    assert np.abs(unweighted - np.log(2.0)).max() > 1e-2


def test_bco_pair_has_no_reward_shift(trl_live):
    batch = ragged(0)
    theirs = trl_live.dpo(batch, np.float64, loss_type="bco_pair", beta=0.5)
    shifted, *_ = on_logps(
        "bco_pair(beta=0.5, baseline='batch_mean')", batch, np.float64
    )
    assert value_error(shifted, theirs.value) > 1e-3


def test_defaults_that_differ_from_the_papers(trl_live):
    """One beta for all loss types, label smoothing 0."""
    defaults = trl_live.config_defaults(trl_live.DPOConfig)
    expected = {
        "beta": 0.1,
        "label_smoothing": 0.0,
        "discopop_tau": 0.05,
        "f_alpha_divergence_coef": 0.5,
        "ld_alpha": None,
        "use_weighting": False,
    }
    assert {name: defaults[name] for name in expected} == expected


def _at_least(side, length):
    """The side with rows shorter than `length` extended to it."""
    mask = side.mask.copy()
    mask[:, :length] = True
    arrays = {
        name: np.where(mask, np.nan_to_num(getattr(side, name), nan=-0.5), np.nan)
        for name in ("logps", "ref", "log_sum_sq")
    }
    return replace(side, mask=mask, **arrays)


def _with_margin(batch, margin):
    """The first pair's margin h, set by its first chosen token."""
    ratios = [
        np.where(side.mask, side.logps - side.ref, 0.0).sum(-1)
        for side in (batch.chosen, batch.rejected)
    ]
    logps = batch.chosen.logps.copy()
    logps[0, 0] += margin - (ratios[0] - ratios[1])[0]
    return replace(batch, chosen=replace(batch.chosen, logps=logps))
