"""Every recorded value and gradient, in float64 and float32."""

import jax
import numpy as np
import pytest

from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES

from . import golden


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("case", golden.CASES)
def test_values_and_gradients_in_float64(shared, name, case):
    with jax.enable_x64(True):
        cases, rows = golden.read(shared)
        rows = [row for row in rows if row.loss == name]
        assert rows, f"no recorded value for {name}"
        for row in rows:
            check(cases[case], row, row.results[case], tolerance=1e-10)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("case", ["ordinary", "policy_equals_reference"])
def test_values_and_gradients_in_float32(shared, name, case):
    cases, rows = golden.read(shared)
    for row in rows:
        if row.loss == name:
            check(cases[case], row, row.results[case], tolerance=2e-5)


def check(pairs, row, expected, *, tolerance):
    values, weights = value_and_token_weights(row.loss, pairs, **row.params)
    per_pair = expected.get("per_pair", expected.get("values_by_rank"))
    if per_pair is not None:
        assert golden.relative_error(values, per_pair) <= tolerance, row.params
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
