"""Conditions and cases: by hand, on random vectors, and against true steps."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, resolve
from gradlab.measures.entanglement import (
    CASES,
    Influence,
    ScoreProducts,
    case_shares,
    cosine,
    entanglement,
    influence_of_sums,
    kappa_min,
    margin_can_fall,
    sequence_weights,
)
from gradlab.measures.scores import score_products, token_influence
from tests.losses.cases import one_setting, random_pairs
from tests.measures import tiny

DRAWS = 200_000


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def products(n_c, n_r, ip):
    return ScoreProducts(
        *(jnp.atleast_1d(jnp.asarray(x, float)) for x in (n_c, n_r, ip))
    )


def random_products(rng, count=DRAWS, dims=3):
    x, y = rng.normal(size=(2, count, dims)) * rng.lognormal(0, 2, (2, count, 1))
    x[: count // 2] += y[: count // 2]  # half of them entangled
    return products((x * x).sum(1), (y * y).sum(1), (x * y).sum(1))


@pytest.mark.parametrize(
    ("n_c", "n_r", "ip", "d_c", "d_r", "case", "changes"),
    [
        (4.0, 9.0, 2.0, 1.0, 1.0, "ideal", (2.0, -7.0)),
        (1.0, 4.0, 1.5, 1.0, 1.0, "both fall", (-0.5, -2.5)),
        (4.0, 1.0, 1.5, 1.0, 1.0, "both rise", (2.5, 0.5)),
        (1.0, 1.0, 0.5, 1.0, 3.0, "both fall", (-0.5, -2.5)),  # a stronger push
        (1.0, 1.0, 0.5, 3.0, 1.0, "both rise", (2.5, 0.5)),
        (1.0, 1.0, -0.9, 1.0, 1.0, "ideal", (1.9, -1.9)),
        (1.0, 1.0, 1.0, 1.0, 1.0, "ideal", (0.0, 0.0)),  # equality is not a fall
        (1.0, 1.0, 0.5, 0.0, 0.0, "no push", (0.0, 0.0)),
    ],
)
def test_by_hand(n_c, n_r, ip, d_c, d_r, case, changes):
    row = entanglement(influence_of_sums(products(n_c, n_r, ip), d_c, d_r))
    assert CASES[int(row.case[0])] == case
    got = (float(row.chosen_change[0]), float(row.rejected_change[0]))
    np.testing.assert_allclose(got, changes, rtol=1e-14)


def test_kappas_are_the_conditions():
    given = random_products(np.random.default_rng(0), 5000)
    d_c, d_r = jnp.asarray(np.random.default_rng(1).lognormal(0, 1, (2, 5000)))
    row = entanglement(influence_of_sums(given, d_c, d_r))
    np.testing.assert_allclose(
        row.kappa_chosen, d_r * given.inner / (d_c * given.chosen), rtol=1e-14
    )
    np.testing.assert_array_equal(row.kappa_chosen > 1, row.chosen_change < 0)
    np.testing.assert_array_equal(row.kappa_rejected > 1, row.rejected_change > 0)
    equal = entanglement(influence_of_sums(given, 1.0, 1.0))
    np.testing.assert_array_equal(kappa_min(given) > 1, equal.case > 1)


def test_kappa_min_sees_the_rejected_norm():
    """n_r is the smaller one: with the chosen norm alone the pair would look fine."""
    given = products(9.0, 1.0, 2.0)
    np.testing.assert_allclose(kappa_min(given), 2.0)
    np.testing.assert_allclose(cosine(given), 2 / 3)
    row = entanglement(influence_of_sums(given, 1.0, 1.0))
    assert CASES[int(row.case[0])] == "both rise"


def test_case_four_never_occurs_in_random_draws():
    rng = np.random.default_rng(2)
    given = random_products(rng)
    d_c, d_r = jnp.asarray(rng.lognormal(0, 2, (2, DRAWS)))
    row = entanglement(influence_of_sums(given, d_c, d_r))
    counts = np.bincount(row.case, minlength=5)
    assert counts[4] == 0
    assert (counts[1:4] > 1000).all()
    falls = np.asarray(row.margin_falls)
    assert falls.sum() > 100
    assert (cosine(given)[falls] > margin_can_fall(d_c, d_r)[falls]).all()
    equal = entanglement(influence_of_sums(given, d_c, d_c))
    assert not equal.margin_falls.any()


def test_parallel_scores_are_no_false_alarm():
    """s_r = c s_c cancels to rounding: never case 4, never a falling margin."""
    rng = np.random.default_rng(3)
    n, c = rng.lognormal(0, 1, (2, DRAWS))
    given = products(n, c * c * n, c * n)
    d = jnp.asarray(rng.lognormal(0, 1, DRAWS))
    row = entanglement(influence_of_sums(given, c * d, d))
    assert set(np.unique(row.case)) == {1}
    assert not row.margin_falls.any()


def test_threshold_of_the_margin_is_sharp():
    """DPO-Positive: cosine 0.75 at lam 5, 0.28 at lam 50 (d_c = (1 + lam) d_r)."""
    for lam, cos in ((5, 0.70), (50, 0.27)):
        assert abs(margin_can_fall(jnp.array(1.0 + lam), 1.0) - cos) < 0.01
        root = margin_can_fall(jnp.array(1.0 + lam), 1.0)
        n_r = (1.0 + lam) * jnp.ones(2)  # the worst norm: d_c n_c = d_r n_r
        inner = jnp.sqrt(n_r) * root * jnp.array([1 - 1e-6, 1 + 1e-6])
        given = ScoreProducts(jnp.ones(2), n_r, inner)
        row = entanglement(influence_of_sums(given, 1.0 + lam, 1.0))
        assert row.margin_falls.tolist() == [False, True]


def test_reversed_needs_varying_weights():
    row = entanglement(Influence(*(jnp.array([x]) for x in (1.0, 2.0, 2.0, 1.0))))
    assert CASES[int(row.case[0])] == "reversed"


def test_wilson_interval():
    """10 of 40 by hand: centre (10 + 1.92) / 43.84 = 0.2719, half-width 0.1297."""
    share, low, high = case_shares([1] * 30 + [2] * 10)["both fall"]
    assert share == 0.25
    np.testing.assert_allclose((low, high), (0.14187, 0.40194), atol=1e-5)
    none = case_shares([1] * 30)["both fall"]
    assert none[:2] == (0.0, 0.0)
    np.testing.assert_allclose(none[2], 1.959964**2 / (30 + 1.959964**2))
    assert case_shares([1] * 30)["ideal"][2] == 1.0
    for wrong in ([], [5], [-1]):
        with pytest.raises(GradlabError, match="cases"):
            case_shares(wrong)


@pytest.mark.parametrize("name", LOSSES)
def test_sequence_weights_are_slopes_of_the_sums(name):
    pairs, hyper = random_pairs(0), one_setting(name)
    weights = token_weights(name, pairs, **hyper)
    for side in ("chosen", "rejected"):
        rows, mask = (
            np.asarray(getattr(x, side + end))
            for x, end in ((weights, ""), (pairs, "_mask"))
        )
        spread = [
            np.ptp(row[inside > 0]) for row, inside in zip(rows, mask, strict=True)
        ]
        if max(spread) > 1e-10 * np.abs(rows).max():
            with pytest.raises(GradlabError, match=f"vary along the {side} response"):
                sequence_weights(name, pairs, **hyper)
            return
    d_c, d_r = sequence_weights(name, pairs, **hyper)
    np.testing.assert_allclose(weights.chosen, -d_c[:, None] * pairs.chosen_mask)
    np.testing.assert_allclose(weights.rejected, d_r[:, None] * pairs.rejected_mask)


@pytest.mark.parametrize(
    "loss", ["dpo", "simpo", "dpop(lam=50)", "unlikelihood_token", "exmate", "mle"]
)
def test_predicted_signs_are_the_realised_ones_on_every_pair(loss):
    """A step on one pair alone moves both its sides as its row says."""
    params, pairs = tiny.parameters(), tiny.batch(pairs=12)
    scored = tiny.pair_logps(params, pairs)
    weights = token_weights(loss, scored)
    products = jax.jit(partial(token_influence, tiny.logps_fn, microbatch=12))
    row = entanglement(products(params, weights, pairs))
    eta = 1e-6

    def sums(params, pair):
        return jnp.stack([side.sum() for side in tiny.logps_fn(params, pair)])

    def realised(one):
        pair, seen = jax.tree.map(lambda leaf: leaf[None], one)

        def value(params):
            chosen, rejected = tiny.logps_fn(params, pair)
            now = replace(seen, chosen=chosen, rejected=rejected)
            return jnp.sum(resolve(loss)(now))

        gradient = jax.grad(value)(params)
        step = jax.tree.map(lambda p, g: p - eta * g, params, gradient)
        return (sums(step, pair) - sums(params, pair)) / eta

    moved = np.asarray(jax.jit(jax.vmap(realised))((pairs, scored)))
    predicted = np.stack([row.chosen_change, row.rejected_change], 1)
    np.testing.assert_allclose(moved, predicted, rtol=1e-3, atol=1e-4)
    clear = np.abs(predicted) > 1e-3
    assert clear.mean() > 0.7
    np.testing.assert_array_equal(np.sign(moved)[clear], np.sign(predicted)[clear])


def test_margin_losses_entangle_close_pairs():
    """So that the test above says something: not all pairs of its batch are ideal."""
    params, pairs = tiny.parameters(), tiny.batch(pairs=12)
    given = score_products(tiny.logps_fn, params, pairs)
    row = entanglement(influence_of_sums(given, 1.0, 1.0))
    assert {1, 2} <= set(np.asarray(row.case).tolist())
