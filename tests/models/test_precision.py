"""Float32 keeps relative precision where the model is almost sure of a token."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.models.logps import token_stats, token_stats_from_logits


@pytest.mark.parametrize("vocab_chunk", [None, 7])
def test_log_probability_near_zero_has_relative_precision(vocab_chunk):
    """z_y - logsumexp(z) in float32 would be 0 for all p > 1 - 6e-8."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (24, 50)).astype(np.float32)
    logits[:, 3] += np.linspace(0, 60, 24, dtype=np.float32)
    targets = jnp.full((1, 24), 3)
    odds = np.exp(logits.astype(float) - logits[:, 3:4].astype(float))
    expected = -np.log1p(np.delete(odds, 3, axis=1).sum(1))
    # The identity as hidden states: the head's columns are the logits themselves.
    stats = token_stats(
        jnp.eye(24)[None], jnp.asarray(logits), targets, vocab_chunk=vocab_chunk
    )
    dense = token_stats_from_logits(jnp.asarray(logits)[None], targets)
    assert expected.max() > -1e-20
    for logps in (stats.logps, dense.logps):
        np.testing.assert_allclose(logps[0], expected, rtol=1e-5)
    sure = np.asarray(stats.argmax[0]) == 3
    np.testing.assert_allclose(stats.max_logp[0][sure], expected[sure], rtol=1e-5)
    assert (stats.max_logp >= stats.logps).all()


def test_a_certain_token_has_log_probability_zero():
    logits = jnp.full((1, 1, 5), -1e9).at[0, 0, 2].set(0.0)
    assert token_stats_from_logits(logits, jnp.array([[2]])).logps[0, 0] == 0.0
