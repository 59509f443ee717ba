"""Relations between losses, and numbers that can be worked out on paper."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import token_weights
from gradlab.losses import (
    LOSSES,
    alphapo,
    example_pair,
    infonca,
    infonca_candidates,
    resolve,
)
from gradlab.losses.terms import log_ratios
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
    for side in ("chosen", "rejected"):
        for name in (side, f"ref_{side}", f"{side}_logsumsq"):
            fields[name] = getattr(pairs, name)[:, :5]
    mask = jnp.ones((3, 5))
    return PairLogps(**fields, chosen_mask=mask, rejected_mask=mask)


EQUAL = [
    *(
        (loss, "dpo")
        for loss in (
            "cdpo(label_smoothing=0)",
            "robust_dpo(label_smoothing=0)",
            "infonca(q=1, beta=0.1)",
            "f_dpo(divergence=reverse_kl)",
            "spin(link=logistic)",
            "rdpo(alpha=0)",
            "lddpo(alpha=1)",
            "lddpo(alpha=1, weight_reference=False)",
            "dpop(lam=0, beta=0.1)",
            "dpop_outside(lam=0)",
            "dpop_inside_nobeta(lam=0, beta=0.1)",
            "flexdpo(beta_pos=0.1, beta_neg=0.1)",
            "dpo_shift(f=1, beta=0.1)",
            "rpo(eta=0, beta=0.1)",
            "irpo(alpha=0)",
            "bcr_inside(lam=0, delta=0)",
        )
    ),
    ("infonca(q=0.8, beta=0.3)", "dpo(beta=0.3, label_smoothing=0.2)"),
    ("cdpo(beta=0.3, label_smoothing=0.2)", "dpo(beta=0.3, label_smoothing=0.2)"),
    ("spin(link=hinge, beta=0.5)", "hinge(beta=0.5)"),
    ("averaged_ipo(tau=0.3)", "ipo(tau=0.3, reduction=mean)"),
    ("alphapo(alpha=0, beta=2, gamma=0.5)", "simpo"),
    ("bcr_inside(lam=7, delta=0, beta=0.3)", "dpop(lam=7, beta=0.3)"),
    ("bcr_added(lam=7, delta=0, beta=0.3)", "dpop_outside(lam=7, beta=0.3)"),
    ("dpop_inside_nobeta(lam=6, beta=0.3)", "dpop(lam=20, beta=0.3)"),
    ("flexdpo(beta_pos=0.5, beta_neg=0.2)", "dpo_shift(beta=0.5, f=0.4)"),
    ("dil(kind=bce)", "gsil(kind=bernoulli, scale=1)"),
    ("dil(kind=lsif)", "gsil(kind=lsif, scale=1)"),
    ("gsil(kind=logistic, scale=0.3)", "gsil(kind=bernoulli, scale=0.3)"),
    ("irpo(beta=0.3, alpha=0.7)", "dpo_mle(beta=0.3, weight=0.7)"),
    ("rpo(beta=0.1, eta=0.5)", "dpo_mle(weight=0.05, reduction=sum)"),
    ("rpo(beta=0.1, eta=0.5)", "dpo + 0.05*mle"),
    ("dpo_mle(weight=0.2, reduction=batch)", "dpo + 0.2*mle(reduction=batch)"),
    (
        "dpo_exmate(weight=0.3, lam=0.7, reduction=token)",
        "dpo + 0.3*exmate(lam=0.7, reduction=token)",
    ),
    (
        "cal_dpo(beta=0.1, calibration_weight=0.3)",
        "dpo(beta=1) + 0.3*sppo_hard(beta=0.1)",
    ),
    ("mate(lam=0, reduction=sum)", "mle"),
    ("exmate(lam=0, reduction=batch)", "mle(reduction=batch)"),
    ("unlikelihood_sequence(alpha=0)", "mle"),
    ("averaged_dpo", "sigmoid_norm"),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_equal_losses(first, second):
    same(first, second, random_pairs(0))


EQUAL_AT_EQUAL_LENGTHS = [
    ("averaged_dpo(beta=0.5)", "dpo(beta=0.1)", 1.0),
    ("ipo(tau=0.5, reduction=mean)", "ipo(tau=0.1)", 1 / 25),
    ("lddpo(alpha=0.3)", "dpo", 1.0),
    ("sampo(key=5)", "dpo", 1.0),
    ("rdpo(alpha=0.3)", "dpo", 1.0),
    ("mle(reduction=mean)", "mle", 1 / 5),
    ("mle(reduction=batch)", "mle(reduction=mean)", 1.0),
    ("mate(reduction=batch)", "mate", 1.0),
]


@pytest.mark.parametrize(("first", "second", "scale"), EQUAL_AT_EQUAL_LENGTHS)
def test_equal_at_equal_lengths(first, second, scale):
    same(first, second, equal_lengths(1), scale)


def test_losses_without_reference_are_those_with_a_reference_of_zeros():
    pairs = random_pairs(2)
    zeros = replace(
        pairs,
        ref_chosen=jnp.zeros_like(pairs.chosen),
        ref_rejected=jnp.zeros_like(pairs.rejected),
    )
    same("cpo(alpha=0, label_smoothing=0.1)", "dpo(label_smoothing=0.1)", zeros)
    same("slic(lam=0, beta=0.3)", "hinge(beta=0.3)", zeros)


def test_wpo_of_likely_pairs_is_dpo():
    pairs = random_pairs(2)
    pairs = replace(
        pairs, chosen_logsumsq=pairs.chosen, rejected_logsumsq=pairs.rejected
    )
    same("wpo(beta=0.1)", "dpo", pairs)
    same("wpo(beta=0.1, clamp=False)", "dpo", pairs)


def test_the_kliep_kind_is_ukl_up_to_the_reference():
    pairs = random_pairs(2)
    ref = jnp.sum(jnp.where(pairs.chosen_mask > 0, pairs.ref_chosen, 0), -1)
    gap = resolve("gsil(kind=kliep, scale=1)")(pairs) - resolve("dil(kind=ukl)")(pairs)
    np.testing.assert_allclose(gap, ref, rtol=1e-12)


def test_a_batch_of_one_pair():
    pairs = random_pairs(3, batch=1)
    for name in ("aot", "aot_unpaired"):
        same(
            f"{name}(beta=0.1, label_smoothing=0.2)", "dpo(label_smoothing=0.2)", pairs
        )
    for name in ("mle", "mate", "exmate"):
        same(f"{name}(reduction=batch)", f"{name}(reduction=mean)", pairs)
    same("cpo(nll_reduction=batch)", "cpo", pairs)


def test_kto_without_divergence_is_half_of_apo_zero():
    pairs = replace(random_pairs(4), kl_logratios=jnp.array([-1.0, 0.5]))
    same("kto", "apo_zero", pairs, scale=0.5)


def test_detaching_changes_weights_and_not_values():
    pairs = random_pairs(5)
    pairs = replace(pairs, ref_chosen=pairs.chosen - 1.0)
    one, two = resolve("kto_pair"), resolve("kto_pair(detach_kl=True)")
    np.testing.assert_array_equal(one(pairs), two(pairs))
    weights = [token_weights(loss, pairs).chosen for loss in (one, two)]
    assert jnp.any(weights[0] < weights[1] - 1e-6)


@pytest.mark.parametrize(
    ("divergence", "limit"), [(1e-7, "reverse_kl"), (1 - 1e-7, "forward_kl")]
)
def test_the_alpha_divergence_lies_between_the_two_kls(divergence, limit):
    pairs = random_pairs(6)
    got = resolve("f_dpo", divergence="alpha", alpha=divergence)(pairs)
    expected = resolve("f_dpo", divergence=limit)(pairs)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_alphapo_tends_to_simpo():
    pairs = random_pairs(6)
    expected = resolve("simpo")(pairs)
    for alpha in (1e-9, -1e-9):
        got = resolve("alphapo", alpha=alpha, beta=2.0, gamma=0.5)(pairs)
        np.testing.assert_allclose(got, expected, rtol=1e-7)
    swept = jax.vmap(lambda a: alphapo(pairs, alpha=a, beta=2.0, gamma=0.5))
    np.testing.assert_allclose(swept(jnp.array([0.0]))[0], expected, rtol=1e-14)


def test_infonca_of_two_candidates():
    pairs, rewards = random_pairs(7), jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    d = jnp.stack(log_ratios(pairs, "infonca"), -1)
    got = infonca_candidates(d, rewards, alpha=0.5, beta=0.3)
    q = jax.nn.sigmoid((rewards[:, 0] - rewards[:, 1]) / 0.5)
    np.testing.assert_allclose(got, infonca(pairs, beta=0.3, q=q), rtol=1e-12)
    slope = jax.grad(
        lambda d: infonca_candidates(d, rewards, alpha=0.5, beta=0.3).sum()
    )
    expected = -0.3 * (jax.nn.softmax(rewards / 0.5) - jax.nn.softmax(0.3 * d))
    np.testing.assert_allclose(slope(d), expected, rtol=1e-12)


def test_exo_pair_is_a_divergence():
    """KL(Bernoulli(s(x)) || Bernoulli(1 - eps)): 0 at the target, else positive."""
    pairs = random_pairs(7)
    a, b = log_ratios(pairs, "exo_pair")
    p, target = jax.nn.sigmoid(0.5 * (a - b)), 0.8
    expected = p * jnp.log(p / target) + (1 - p) * jnp.log((1 - p) / (1 - target))
    got = resolve("exo_pair(beta=0.5, label_smoothing=0.2)")(pairs)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_exmate_is_below_sequence_unlikelihood():
    pairs = random_pairs(3)
    sums = jnp.sum(jnp.where(pairs.rejected_mask > 0, pairs.rejected, 0), -1)
    unlikelihood = -jnp.log(-jnp.expm1(sums))
    penalty = resolve("exmate(reduction=sum, lam=1)")(pairs) - resolve("mle")(pairs)
    assert jnp.all(penalty <= unlikelihood)


def test_exmate_is_the_first_order_part_of_unlikelihood():
    """-log(1 - p) = p + p^2/2 + ...: equal as the response becomes unlikely."""
    # Without a chosen response both losses are their penalty alone.
    pairs = replace(random_pairs(3), chosen_mask=jnp.zeros((3, 5)))
    for reduction, name in (("sum", "sequence"), ("token", "token")):
        exmate = resolve(f"exmate(lam=1, reduction={reduction})")
        unlikelihood = resolve(f"unlikelihood_{name}")
        gaps = []
        for fall in (2.0, 4.0, 8.0):
            lower = replace(pairs, rejected=pairs.rejected - fall)
            ratio = unlikelihood(lower) / exmate(lower)
            gaps.append(float(jnp.max(jnp.abs(ratio - 1))))
        assert gaps[0] > gaps[1] > gaps[2]
        assert gaps[2] < 1e-3


@pytest.mark.parametrize("name", ["unlikelihood_token", "unlikelihood_sequence"])
def test_certainty_is_infinitely_bad_not_hidden(name):
    ones = jnp.ones((1, 1))
    pairs = replace(
        random_pairs(3, batch=1, chosen_width=1, rejected_width=1),
        rejected=0.0 * ones,
        chosen_mask=ones,
        rejected_mask=ones,
    )
    assert resolve(name)(pairs)[0] == jnp.inf
    assert token_weights(name, pairs).rejected[0, 0] == jnp.inf
    assert resolve(name).closed_form(pairs).rejected[0, 0] == jnp.inf
    orpo = token_weights("orpo", pairs).rejected[0, 0]
    assert orpo == resolve("orpo").closed_form(pairs).rejected[0, 0] == jnp.inf


AT_REFERENCE = {
    **dict.fromkeys(
        (
            *("dpo", "cdpo", "averaged_dpo", "lddpo", "sampo", "dpop", "bpo"),
            *("dpo_shift", "flexdpo", "spin", "infonca", "aot", "aot_unpaired"),
            *("dpop_outside", "dpop_inside_nobeta", "robust_dpo"),
            *(f"f_dpo(divergence={d})" for d in ("reverse_kl", "forward_kl", "js")),
            *("f_dpo(divergence=alpha)", "bcr_added(lam=5, delta=0)"),
            "bcr_inside(lam=5, delta=0)",
        ),
        math.log(2),
    ),
    **dict.fromkeys(("nca_pair", "bco_pair", "gsil", "dil(kind=bce)"), 2 * math.log(2)),
    "bco_pair(baseline=batch_mean)": 2 * math.log(2),
    **dict.fromkeys(("apo_zero", "apo_down", "hinge"), 1.0),
    "kto_pair": 0.5,
    "discopop": (math.log(2) + 1.0) / 2.0,
    "ipo": 25.0,
    "sppo_hard(beta=0.1)": 50.0,
    "gsil(kind=brier)": 0.5,
    "gsil(kind=hinge)": 2.0,
    "gsil(kind=kliep)": 1.0,
    "gsil(kind=lsif)": -0.5,
    "dil": -0.5,
    "cal_dpo(beta=0.1)": math.log(2) + 25.0,
}


@pytest.mark.parametrize("spec", AT_REFERENCE)
def test_step_zero_values(spec):
    pairs = random_pairs(4)
    pairs = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    np.testing.assert_allclose(resolve(spec)(pairs), AT_REFERENCE[spec], rtol=1e-14)


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


MARGIN_ALONE = [
    *("dpo", "cdpo", "robust_dpo", "ipo", "hinge", "exo_pair", "infonca", "discopop"),
    *("spin", "rdpo", "wpo", "aot", "averaged_dpo", "averaged_ipo", "simpo"),
    *("cpo(alpha=0)", "slic(lam=0)", "f_dpo", "lddpo"),
]


@pytest.mark.parametrize("spec", MARGIN_ALONE)
def test_losses_of_the_margin_alone_push_both_sides_equally(spec):
    weights = token_weights(spec, equal_lengths(7))
    np.testing.assert_allclose(weights.chosen, -weights.rejected, rtol=1e-12)


LOGISTIC = [
    *("dpo", "averaged_dpo", "lddpo", "sampo", "rdpo", "flexdpo", "dpo_shift(f=1)"),
    *("simpo(gamma=0)", "cpo(alpha=0)", "alphapo(gamma=0)", "f_dpo(divergence=js)"),
    *("f_dpo(divergence=forward_kl)", "infonca"),
]


@pytest.mark.parametrize("spec", LOGISTIC)
def test_preferences_for_either_side_add_up_to_one(spec):
    """Swapping chosen and rejected turns the margin's sign: e^-L + e^-L' = 1."""
    pairs = random_pairs(8)
    names = ("", "_mask", "_logsumsq", "_keep")
    turned = {f"chosen{n}": getattr(pairs, f"rejected{n}") for n in names}
    turned |= {f"rejected{n}": getattr(pairs, f"chosen{n}") for n in names}
    turned |= {"ref_chosen": pairs.ref_rejected, "ref_rejected": pairs.ref_chosen}
    loss, swapped = resolve(spec), replace(pairs, **turned)
    total = jnp.exp(-loss(pairs)) + jnp.exp(-loss(swapped))
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    one, two = token_weights(loss, pairs), token_weights(loss, swapped)
    # Weights are p(wrong) times the same slope: w(pair) / p' = -w(swapped) / p.
    wrong = jnp.exp(-loss(swapped))[:, None]
    np.testing.assert_allclose(
        one.chosen * (1 - wrong), -two.rejected * wrong, rtol=1e-11, atol=1e-14
    )


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
