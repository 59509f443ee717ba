"""TRL's KTO trainer: value, and gradient at every response token."""

import numpy as np
import pytest

from tests.parity.batches import ragged
from tests.parity.compare import (
    BATCHES,
    TOLERANCE,
    on_logps,
    relative_error,
    value_error,
)

pytestmark = pytest.mark.parity

# A batch of B pairs is B desirable and B undesirable examples to TRL, whose loss is the
# mean over all 2B.
SETTINGS = [
    ({}, "kto(beta=0.1)"),
    ({"beta": 0.8}, "kto(beta=0.8)"),
    (
        {"beta": 0.3, "desirable_weight": 1.33, "undesirable_weight": 0.6},
        "kto(beta=0.3, lam_d=1.33, lam_u=0.6)",
    ),
    ({"loss_type": "apo_zero_unpaired"}, "0.5*apo_zero(beta=0.1)"),
]


def largest_errors(trl_live, setting, dtype) -> tuple[float, float]:
    """Relative errors of the value and of the gradient, worst of all batches."""
    settings, loss = setting
    errors = np.zeros(2)
    for seed in range(BATCHES):
        batch = ragged(seed)
        theirs = trl_live.kto(batch, dtype, **settings)
        values, *weights = on_logps(loss, batch, dtype)
        ours = np.concatenate(weights)
        expected = np.concatenate([theirs.chosen, theirs.rejected])
        found = value_error(values, theirs.value), relative_error(ours, expected)
        errors = np.maximum(errors, found)
    return tuple(errors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s[1].replace(" ", ""))
def test_value_and_gradient(trl_live, setting, dtype):
    of_value, of_gradient = largest_errors(trl_live, setting, dtype)
    assert of_value <= TOLERANCE[dtype]
    assert of_gradient <= TOLERANCE[dtype]


def test_the_batches_lie_on_both_sides_of_the_clamp():
    means = [ragged(seed).pairs(np.float64).kl_logratios.mean() for seed in range(100)]
    assert min(means) < 0.0 < max(means)


def test_its_reference_point_is_never_negative(trl_live):
    """A mean log-ratio below 0 counts as 0: the loss equals that of z0 = 0."""
    below = next(
        batch
        for batch in map(ragged, range(100))
        if batch.pairs(np.float64).kl_logratios.mean() < 0.0
    )
    pairs = below.pairs(np.float64)
    ratios = [
        np.where(mask, now - ref, 0.0).sum(-1)
        for now, ref, mask in (
            (pairs.chosen, pairs.ref_chosen, pairs.chosen_mask),
            (pairs.rejected, pairs.ref_rejected, pairs.rejected_mask),
        )
    ]
    logits = 0.1 * np.concatenate([ratios[0], -ratios[1]])
    expected = np.mean(1.0 - 1.0 / (1.0 + np.exp(-logits)))
    theirs = trl_live.kto(below, np.float64, beta=0.1)
    assert theirs.value == pytest.approx(expected, rel=1e-12)
