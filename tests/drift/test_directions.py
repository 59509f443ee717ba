"""Reused gradients and drifts equal those computed afresh, and save their passes."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from gradlab.drift.directions import Directions
from gradlab.gradients.groups import tree_norm
from gradlab.inputs.scored import SIDES
from tests.drift.cases import make_case


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def fresh(case):
    """Directions that count the batches they pass over."""
    counts = []
    corpus = replace(case.corpus, progress=counts.append)
    return Directions(corpus, case.params), counts


def assert_same(case, directions, weights):
    expected = case.corpus.gradients(case.params, weights)
    found = directions.gradients(weights)
    parts = {}
    for side in SIDES:
        gap = jax.tree.map(
            lambda x, y: x - y, getattr(found, side), getattr(expected, side)
        )
        assert tree_norm(gap) <= 1e-12 * (1 + tree_norm(getattr(expected, side)))
        parts[side] = getattr(expected, side)
    drifts = case.corpus.drifts(case.params, parts)
    moved = directions.drifts(weights)
    for cause in SIDES:
        for side in SIDES:
            np.testing.assert_allclose(
                moved[cause][side], drifts[cause][side], rtol=1e-8, atol=1e-12
            )


@pytest.mark.parametrize(
    "later", ["dpo(beta=0.7)", "dpo+exmate", "0.3*exmate+2*dpo", "mle"]
)
def test_combinations_cost_no_pass(later):
    case = make_case()
    directions, counts = fresh(case)
    for loss in ("dpo", "exmate", "mle"):
        assert_same(case, directions, case.mean_weights(loss))
    counts.clear()
    if later == "dpo(beta=0.7)":  # not proportional: policy and reference differ
        assert_same(case, directions, case.mean_weights(later))
        assert counts
        return
    assert_same(case, directions, case.mean_weights(later))
    assert not counts


def test_new_weights_are_never_taken_for_a_combination():
    case = make_case()
    directions, counts = fresh(case)
    for loss in ("dpo", "unlikelihood_token", "simpo", "orpo"):
        counts.clear()
        assert_same(case, directions, case.mean_weights(loss))
        assert counts


def test_one_side_alone():
    case = make_case()
    directions, _ = fresh(case)
    weights = case.mean_weights("dpo")
    weights["rejected"] = np.zeros_like(weights["rejected"])
    assert_same(case, directions, weights)


def test_without_room_everything_is_computed_each_time(monkeypatch):
    monkeypatch.setattr("gradlab.drift.directions.MOST_BYTES", 0)
    case = make_case()
    directions, counts = fresh(case)
    weights = case.mean_weights("dpo")
    for _ in range(2):
        counts.clear()
        assert_same(case, directions, weights)
        assert counts
