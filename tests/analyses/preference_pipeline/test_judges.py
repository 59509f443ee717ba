"""Judges and scorers: what they see, how their noise is matched, what they cost."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest, logistic

from analyses.preference_pipeline.judges import (
    DISTORTIONS,
    Judge,
    Pools,
    ask,
    compare,
    make_pools,
    scores,
)


def repeated(count: int, *utilities: float) -> Pools:
    shape = (count, len(utilities))
    return Pools(np.tile(utilities, (count, 1)), np.zeros(shape), np.zeros(shape))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("tau", "bias"), [(0.5, 0.0), (1.0, 0.5)])
def test_a_judge_follows_bradley_and_terry(tau, bias):
    answers = ask(repeated(20_000, 0.3, 0.0), Judge(tau, bias), rng())
    assert answers[:, 0, 1].mean() == pytest.approx(expit((0.3 + bias) / tau), abs=0.01)
    assert answers[:, 1, 0].mean() == pytest.approx(expit((bias - 0.3) / tau), abs=0.01)


@pytest.mark.parametrize("tail", ["up", "down"])
def test_score_differences_have_the_judges_noise(tail):
    found = scores(repeated(20_000, 1.0, 0.0), 0.5, rng(), tail=tail)
    noise = (found[:, 0] - found[:, 1] - 1) / 0.5
    assert kstest(noise, logistic.cdf).pvalue > 0.01


def test_a_heavy_tail_upwards_hides_the_best():
    """Upwards the best is found as often as softmax(u / tau) says (Gumbel-max)."""
    pools = make_pools(20_000, 8, rng())
    up, down = (
        scores(pools, 0.5, rng(1), tail=tail).argmax(1) == pools.utilities.argmax(1)
        for tail in ("up", "down")
    )
    share = np.exp(pools.utilities / 0.5)
    expected = (share.max(1) / share.sum(1)).mean()
    assert up.mean() == pytest.approx(expected, abs=0.01)
    assert down.mean() > up.mean() + 0.03


def test_both_orders_cancel_the_bias_and_cost_twice():
    pools = repeated(20_000, 0.0, 0.0)
    fixed, random, both = (
        compare(pools, Judge(0.5, bias=1.0), rng(), orders=orders)
        for orders in ("fixed", "random", "both")
    )
    assert fixed.share[:, 0, 1].mean() == pytest.approx(expit(2), abs=0.01)
    assert random.share[:, 0, 1].mean() == pytest.approx(0.5, abs=0.01)
    assert both.share[:, 0, 1].mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(both.share, 1 - both.share.swapaxes(1, 2))
    assert (random.cost == 1).all()
    assert (both.cost == 2).all()


def test_ties_are_kept_drawn_or_asked_again():
    pools, judge = repeated(20_000, 0.0, 0.0), Judge(0.5, threshold=0.5)
    kept, drawn, asked = (
        compare(pools, judge, rng(), ties=ties) for ties in ("keep", "coin", "ask")
    )
    share = 2 * expit(1) - 1  # of ties: |noise| below one scale
    assert np.mean(kept.share == 0.5) == pytest.approx(share, abs=0.01)
    assert not np.any(drawn.share == 0.5)
    assert np.mean(asked.share == 0.5) == pytest.approx(share**2, abs=0.01)
    assert asked.cost.mean() == pytest.approx(1 + share, abs=0.01)


def test_votes_are_averaged():
    found = compare(repeated(20_000, 0.5, 0.0), Judge(0.5), rng(), votes=3)
    p = expit(1.0)
    majority = p**3 + 3 * p**2 * (1 - p)
    assert np.mean(found.share[:, 0, 1] > 0.5) == pytest.approx(majority, abs=0.01)
    assert (found.cost == 3).all()


def test_the_intransitive_part_goes_round():
    """Three at a third of the circle each: everyone beats the next, none is best."""
    pools = repeated(1, 0.0, 0.0, 0.0)
    pools = Pools(pools.utilities, pools.style, 2 * np.pi * np.arange(3)[None] / 3)
    found = ask(pools, Judge(1e-9, cycle=1.0), rng())[0]
    assert (found[1, 0], found[2, 1], found[0, 2]) == (1, 1, 1)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_without_strength_nothing_is_distorted(name):
    pools = make_pools(50, 8, rng())
    found = scores(pools, 0.0, rng(), distortion=name, strength=0.0)
    np.testing.assert_allclose(found, pools.utilities)


@pytest.mark.parametrize("name", ["scale", "warp", "saturation"])
def test_monotone_distortions_keep_the_order_without_noise(name):
    pools = make_pools(200, 8, rng())
    found = scores(pools, 0.0, rng(), distortion=name, strength=1.0)
    order = np.argsort(pools.utilities, axis=1)
    assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= 0).all()


@pytest.mark.parametrize("name", ["drift", "length", "ood"])
def test_the_others_do_not(name):
    pools = make_pools(200, 8, rng())
    found = scores(pools, 0.0, rng(), distortion=name, strength=1.0)
    assert (found.argmax(1) != pools.utilities.argmax(1)).mean() > 0.1
