"""Recorded values of an independent implementation, checked against public code."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES, kto_examples, kto_pair_examples

from . import golden

pytestmark = pytest.mark.filterwarnings("ignore:loss 'gsil'")
EXAMPLES = {"kto": kto_examples, "kto_pair": kto_pair_examples}


@pytest.fixture(scope="module")
def rows(shared):
    return golden.read_rows(shared)


@lru_cache
def cases_in(precision, shared):
    with jax.enable_x64(precision == "float64"):
        return golden.read_cases(shared)


def test_losses_and_recorded_values_are_the_same_set(rows):
    assert {row.loss for row in rows} == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", golden.CASES)
def test_values_and_gradients_in_float64(shared, rows, name, case):
    with jax.enable_x64(True):
        pairs = cases_in("float64", shared)[case]
        for row in rows:
            if row.loss == name:
                check(pairs, row, row.results[case], tolerance=1e-10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", ["ordinary", "policy_equals_reference"])
def test_values_and_gradients_in_float32(shared, rows, name, case):
    pairs = cases_in("float32", shared)[case]
    for row in rows:
        if row.loss == name:
            check(pairs, row, row.results[case], tolerance=2e-5)


def check(pairs, row, expected, *, tolerance):
    values, weights = value_and_token_weights(row.loss, pairs, **row.params)
    per_pair = expected.get("per_pair", expected.get("values_by_rank"))
    if per_pair is not None:
        assert golden.relative_error(values, per_pair) <= tolerance, row.params
    if "per_desirable" in expected:
        check_examples(pairs, row, values, expected, tolerance)
    mean = np.mean(np.asarray(values, np.float64))
    assert golden.relative_error(mean, expected["batch_value"]) <= tolerance
    # Weights are of the summed losses: B times the gradient of the batch value.
    scale = len(values) if row.batch_gradient else 1
    for side in ("chosen", "rejected"):
        got = np.asarray(getattr(weights, side)) / scale
        assert golden.relative_error(got, expected[f"grad_{side}"]) <= tolerance, (
            row.params,
            side,
        )


def check_examples(pairs, row, values, expected, tolerance):
    """A pair's value is the mean of its desirable and its undesirable example."""
    examples = EXAMPLES[row.loss](pairs, **row.params)
    recorded = expected["per_desirable"], expected["per_undesirable"]
    for got, one in zip(examples, recorded, strict=True):
        assert golden.relative_error(got, one) <= tolerance, row.params
    assert golden.relative_error(values, np.mean(recorded, axis=0)) <= tolerance
