"""Token weights of the optimal-transport losses."""

import jax.numpy as jnp

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import (
    log_ratios,
    logistic_slope,
    ref_seq_logps,
    seq_logps,
)
from gradlab.types import Array, PairLogps, PairWeights


def ranks(values: Array) -> Array:
    """Place of each value in ascending order; ties keep their order."""
    return jnp.argsort(jnp.argsort(values, stable=True))


def aot_weights(
    pairs: PairLogps, *, beta: float, label_smoothing: float
) -> PairWeights:
    """The logistic slope at the pair's rank, on both sides."""
    policy, ref = seq_logps(pairs), ref_seq_logps(pairs, "aot")
    margins = policy.chosen - policy.rejected
    delta = jnp.sort(margins) - jnp.sort(ref.chosen - ref.rejected)
    slope = beta * logistic_slope(beta * delta, label_smoothing)[ranks(margins)]
    return summed_sides(pairs, slope, -slope)


def aot_unpaired_weights(
    pairs: PairLogps, *, beta: float, label_smoothing: float
) -> PairWeights:
    """The logistic slope at the rank of each side's own log-ratio."""
    a, b = log_ratios(pairs, "aot_unpaired")
    delta = jnp.sort(a) - jnp.sort(b)
    slope = beta * logistic_slope(beta * delta, label_smoothing)
    return summed_sides(pairs, slope[ranks(a)], -slope[ranks(b)])
