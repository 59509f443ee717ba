"""TRL's ORPO trainer: value, gradient at every logit, and where it differs."""

import numpy as np
import pytest

from tests.parity.batches import ragged_logits
from tests.parity.compare import (
    BATCHES,
    TOLERANCE,
    on_logits,
    relative_error,
    value_error,
)

pytestmark = pytest.mark.parity

# TRL casts the odds to float32 whatever the model's dtype.
DTYPES = [np.float32, np.float64]
ODDS_TOLERANCE = TOLERANCE[np.float32]


def largest_errors(trl_live, lam, dtype, *, equal_lengths) -> tuple[float, float]:
    """Relative errors of the value and of the gradient, worst of all batches."""
    errors = np.zeros(2)
    for seed in range(BATCHES):
        batch = ragged_logits(seed, equal_lengths=equal_lengths)
        value, expected = trl_live.orpo(batch, dtype, beta=lam)
        loss = orpo if equal_lengths else trl_orpo
        values, gradient = loss(batch, lam, dtype)
        found = value_error(values, value), relative_error(gradient, expected)
        errors = np.maximum(errors, found)
    return tuple(errors)


def orpo(batch, lam, dtype):
    return on_logits(f"orpo(lam={lam})", batch, dtype)


def trl_orpo(batch, lam, dtype):
    """ORPO with the likelihood of prompts and responses in place of the responses'."""
    whole = on_logits(f"orpo(lam={lam})", batch, dtype)
    own = on_logits("mle(reduction=mean)", batch, dtype)
    theirs = on_logits("mle(reduction=batch)", batch, dtype, with_prompt=True)
    return tuple(a - b + c for a, b, c in zip(whole, own, theirs, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_agrees_for_prompts_of_one_token_and_equal_lengths(trl_live, lam, dtype):
    """There the two averages of the likelihood term are the same number."""
    errors = largest_errors(trl_live, lam, dtype, equal_lengths=True)
    assert max(errors) <= ODDS_TOLERANCE


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_its_likelihood_is_that_of_prompt_and_response(trl_live, lam, dtype):
    """Batch mean over prompt and response tokens, not over each response."""
    errors = largest_errors(trl_live, lam, dtype, equal_lengths=False)
    assert max(errors) <= ODDS_TOLERANCE


def test_it_therefore_moves_prompt_tokens(trl_live):
    batch = ragged_logits(0)
    theirs, gradient = trl_live.orpo(batch, np.float64, beta=0.1)
    ours, our_gradient = orpo(batch, 0.1, np.float64)
    assert value_error(ours, theirs) > 1e-2
    predicts_prompt = batch.attention[:, 1:] & ~batch.response[:, 1:]
    assert np.abs(gradient[:, :-1][predicts_prompt]).max() > 1e-3
    assert not our_gradient[:, :-1][predicts_prompt].any()


def test_its_odds_are_float32_in_a_float64_model(trl_live):
    """Parity in float64 ends at float32's rounding; with no odds term it doesn't."""
    full = np.array(largest_errors(trl_live, 1.0, np.float64, equal_lengths=True))
    assert (full > 1e-10).all()
    batch = ragged_logits(0, equal_lengths=True)
    without, _ = trl_live.orpo(batch, np.float64, beta=0.0)
    likelihood, _ = on_logits("mle(reduction=mean)", batch, np.float64)
    assert value_error(likelihood, without) <= TOLERANCE[np.float64]
