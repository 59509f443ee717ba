"""Token weights of the likelihood losses."""

import jax.numpy as jnp

from gradlab.losses.terms import (
    batch_share,
    lengths,
    masked,
    odds,
    seq_logps,
    spread,
)
from gradlab.types import Array, PairLogps, PairWeights


def likelihood_weight(
    pairs: PairLogps, counts: Array, mask: Array, reduction: str
) -> Array:
    """d(log-likelihood of one side)/dlogp: 1, 1/L or B/N on each token, [B, T]."""
    ones = jnp.ones_like(counts)
    per_pair = {
        "sum": ones,
        "token": ones,
        "mean": 1.0 / counts,
        "batch": batch_share(ones, pairs, mask),
    }[reduction]
    return spread(per_pair, mask)


def chosen_nll_weight(pairs: PairLogps, reduction: str) -> Array:
    """Weight of -log-likelihood of the chosen tokens under each reduction, [B, T]."""
    counts = lengths(pairs).chosen
    return -likelihood_weight(pairs, counts, pairs.chosen_mask, reduction)


def unlikelihood_sequence_weights(pairs: PairLogps, *, alpha: float) -> PairWeights:
    """Rejected tokens weigh alpha times the odds of the whole response."""
    per_pair = alpha * odds(seq_logps(pairs).rejected)
    rejected = spread(per_pair, pairs.rejected_mask)
    return PairWeights(chosen_nll_weight(pairs, "sum"), rejected)


def mle_weights(pairs: PairLogps, *, reduction: str) -> PairWeights:
    """-1, -1/L_w or -B/N_w on chosen tokens; nothing on rejected ones."""
    rejected = jnp.zeros_like(masked(pairs.rejected, pairs.rejected_mask))
    return PairWeights(chosen_nll_weight(pairs, reduction), rejected)


def unlikelihood_token_weights(
    pairs: PairLogps, *, alpha: float, reduction: str, min_one_minus_p
) -> PairWeights:
    """Rejected tokens weigh alpha times their odds p/(1-p)."""
    mask = pairs.rejected_mask
    logps = masked(pairs.rejected, mask, fill=-1.0)
    weight = alpha * odds(logps)
    if min_one_minus_p is not None:
        weight = jnp.where(-jnp.expm1(logps) > min_one_minus_p, weight, 0.0)
    if reduction == "mean":
        weight = weight / lengths(pairs).rejected[..., None]
    return PairWeights(chosen_nll_weight(pairs, reduction), masked(weight, mask))
