"""Token weights of the likelihood losses."""

import jax.numpy as jnp

from gradlab.losses.terms import (
    batch_size,
    batch_tokens,
    lengths,
    masked,
    mean_logps,
    seq_logps,
    spread,
)
from gradlab.types import Array, PairLogps, PairWeights


def chosen_nll_weight(pairs: PairLogps, reduction: str) -> Array:
    """Weight of -log-likelihood of the chosen tokens under each reduction, [B, T]."""
    counts = lengths(pairs).chosen
    per_pair = {
        "sum": -jnp.ones_like(counts),
        "token": -jnp.ones_like(counts),
        "mean": -1.0 / counts,
        "batch": -jnp.ones_like(counts)
        * batch_size(pairs)
        / batch_tokens(pairs.chosen_mask),
    }[reduction]
    return spread(per_pair, pairs.chosen_mask)


def mle_weights(pairs: PairLogps, *, reduction) -> PairWeights:
    """-1, -1/L_w or -B/N_w on chosen tokens; nothing on rejected ones."""
    rejected = jnp.zeros_like(masked(pairs.rejected, pairs.rejected_mask))
    return PairWeights(chosen_nll_weight(pairs, reduction), rejected)


def unlikelihood_token_weights(
    pairs: PairLogps, *, alpha, reduction, min_one_minus_p
) -> PairWeights:
    """Rejected tokens weigh alpha times their odds p/(1-p)."""
    mask = pairs.rejected_mask
    logps = masked(pairs.rejected, mask, fill=-1.0)
    odds = 1.0 / jnp.expm1(-logps)
    if min_one_minus_p is not None:
        odds = jnp.where(-jnp.expm1(logps) > min_one_minus_p, odds, 0.0)
    weight = alpha * odds
    if reduction == "mean":
        weight = weight / lengths(pairs).rejected[..., None]
    return PairWeights(chosen_nll_weight(pairs, reduction), masked(weight, mask))


def exmate_weights(pairs: PairLogps, *, lam, reduction) -> PairWeights:
    """Rejected tokens weigh lam times an exponential of the response's likelihood."""
    mask = pairs.rejected_mask
    chosen = chosen_nll_weight(pairs, reduction)
    if reduction == "token":
        probs = jnp.exp(masked(pairs.rejected, mask, fill=-1.0))
        return PairWeights(chosen, masked(lam * probs, mask))
    sums = seq_logps(pairs).rejected
    if reduction == "sum":
        per_pair = lam * jnp.exp(sums)
    elif reduction == "mean":
        per_pair = lam * jnp.exp(mean_logps(pairs).rejected) / lengths(pairs).rejected
    else:
        tokens = batch_tokens(mask)
        shared = lam * batch_size(pairs) / tokens * jnp.exp(jnp.sum(sums) / tokens)
        per_pair = jnp.broadcast_to(shared, sums.shape)
    return PairWeights(chosen, spread(per_pair, mask))
