"""Token weights of the reference-free losses."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.likelihood import chosen_nll_weight
from gradlab.losses.closed_form.sides import averaged_sides, summed_sides
from gradlab.losses.terms import (
    lengths,
    log1mexp,
    logistic_slope,
    mean_logps,
    odds,
    seq_logps,
)
from gradlab.types import PairLogps, PairWeights


def slic_weights(
    pairs: PairLogps, *, delta: float, beta: float, lam: float, regularizer
) -> PairWeights:
    """The open hinge gives -beta and +beta; the likelihood term pulls the chosen up."""
    sums = seq_logps(pairs)
    is_open = jnp.where(beta * (sums.chosen - sums.rejected) < delta, beta, 0.0)
    is_open = is_open.astype(sums.chosen.dtype)
    pull = lam if regularizer == "sum" else lam / lengths(pairs).chosen
    return summed_sides(pairs, -is_open - pull, is_open)


def cpo_weights(
    pairs: PairLogps,
    *,
    beta: float,
    alpha: float,
    label_smoothing: float,
    nll_reduction,
) -> PairWeights:
    """DPO's weights without reference, and alpha times those of the likelihood."""
    sums = seq_logps(pairs)
    slope = beta * logistic_slope(beta * (sums.chosen - sums.rejected), label_smoothing)
    weights = summed_sides(pairs, slope, -slope)
    nll = chosen_nll_weight(pairs, nll_reduction)
    return PairWeights(weights.chosen + alpha * nll, weights.rejected)


def orpo_weights(pairs: PairLogps, *, lam: float) -> PairWeights:
    """-(1/L_w)[1 + lam s(-o)/(1 - e^A_w)] and (lam/L_l) s(-o)/(1 - e^A_l)."""
    chosen, rejected = mean_logps(pairs)
    log_odds_ratio = (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))
    slope = lam * jax.nn.sigmoid(-log_odds_ratio)
    return averaged_sides(
        pairs, -1.0 - slope * (1.0 + odds(chosen)), slope * (1.0 + odds(rejected))
    )
