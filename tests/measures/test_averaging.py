"""The closed-form optima, against their first-order conditions and each other."""

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.measures import (
    averaged_kl_optimum,
    averaged_optimum,
    averaging_operator,
    summed_optimum,
)


def instance(seed, size=8):
    rng = np.random.default_rng(seed)
    ref = np.log(rng.dirichlet(np.ones(size)))
    return ref, rng.normal(size=size), rng.integers(1, 22, size=size)


@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_is_the_operators_fixed_point(seed):
    ref, rewards, lengths = instance(seed)
    for beta in (0.05, 1.0, 20.0):
        found = averaged_optimum(ref, rewards, lengths, beta=beta)
        assert abs(np.exp(found).sum() - 1) < 1e-12
        again = averaging_operator(found, ref, rewards, lengths, beta=beta)
        np.testing.assert_allclose(again, found, atol=1e-10 * max(1, np.ptp(found)))
        # Per token, differences of log-ratios are differences of rewards over beta.
        ratio = (found - ref) / lengths - rewards / beta
        assert np.ptp(ratio) < 1e-10 / beta


def test_another_policy_is_no_fixed_point():
    ref, rewards, lengths = instance(0)
    moved = averaging_operator(ref, ref, rewards, lengths, beta=1.0)
    assert np.abs(moved - ref).max() > 0.1


def test_equal_lengths_are_the_summed_optimum_with_another_beta():
    ref, rewards, _ = instance(1)
    lengths = np.full(8, 7)
    expected = summed_optimum(ref, rewards, beta=0.3)
    for optimum in (averaged_optimum, averaged_kl_optimum):
        found = optimum(ref, rewards, lengths, beta=7 * 0.3)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_averaged_kl_optimum_maximises_its_objective():
    ref, rewards, lengths = instance(2)
    best = averaged_kl_optimum(ref, rewards, lengths, beta=0.7)

    def objective(logps):
        p = np.exp(logps)
        return p @ rewards - 0.7 * (p @ ((logps - ref) / lengths))

    rng = np.random.default_rng(0)
    for _ in range(50):
        other = np.log(np.exp(best) * np.exp(0.1 * rng.normal(size=8)))
        other -= np.log(np.exp(other).sum())
        assert objective(other) < objective(best)
    averaged = averaged_optimum(ref, rewards, lengths, beta=0.7)
    assert objective(averaged) < objective(best) - 1e-4


def test_refusals():
    ref, rewards, lengths = instance(0)
    with pytest.raises(GradlabError, match="lengths holds 0"):
        averaged_optimum(ref, rewards, lengths * 0, beta=1.0)
    with pytest.raises(GradlabError, match="sums to"):
        averaged_optimum(ref + 1, rewards, lengths, beta=1.0)
