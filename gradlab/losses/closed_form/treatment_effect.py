"""Token weights of the CausalDialogue losses."""

import jax.numpy as jnp

from gradlab.losses.closed_form.likelihood import chosen_nll_weight, likelihood_weight
from gradlab.losses.terms import (
    batch_size,
    batch_tokens,
    lengths,
    masked,
    mean_logps,
    seq_logps,
    spread,
)
from gradlab.types import PairLogps, PairWeights


def mate_weights(pairs: PairLogps, *, lam: float, reduction: str) -> PairWeights:
    """The likelihood's weights on both sides, the rejected one's times -lam."""
    counts = lengths(pairs).rejected
    rejected = likelihood_weight(pairs, counts, pairs.rejected_mask, reduction)
    return PairWeights(chosen_nll_weight(pairs, reduction), lam * rejected)


def exmate_weights(pairs: PairLogps, *, lam: float, reduction: str) -> PairWeights:
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
