"""Token weights of KTO: B times the derivative of the mean over 2B examples."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.anchored import sigmoid_slope
from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import log_ratios
from gradlab.losses.unpaired import kto_reference_point
from gradlab.types import PairLogps, PairWeights


def kto_weights(
    pairs: PairLogps, *, beta: float, lam_d: float, lam_u: float
) -> PairWeights:
    """Half of -lam_d beta s'(beta (a - z0)) and of +lam_u beta s'(beta (z0 - b))."""
    a, b = log_ratios(pairs, "kto")
    z0 = kto_reference_point(pairs)
    chosen = -lam_d * beta * sigmoid_slope(beta * (a - z0))
    rejected = lam_u * beta * sigmoid_slope(beta * (z0 - b))
    return summed_sides(pairs, chosen / 2.0, rejected / 2.0)


def kto_pair_weights(pairs: PairLogps, *, beta: float, detach_kl) -> PairWeights:
    """Each example's own slope, and its share in the other side's batch mean."""
    a, b = log_ratios(pairs, "kto_pair")
    u = sigmoid_slope(beta * (a - jax.nn.relu(jnp.mean(b))))
    v = sigmoid_slope(beta * (jax.nn.relu(jnp.mean(a)) - b))
    through_w = jnp.where(jnp.mean(a) > 0.0, jnp.mean(v), 0.0)
    through_l = jnp.where(jnp.mean(b) > 0.0, jnp.mean(u), 0.0)
    if detach_kl:
        through_w, through_l = 0.0 * through_w, 0.0 * through_l
    return summed_sides(
        pairs, -beta / 2.0 * (u + through_w), beta / 2.0 * (v + through_l)
    )
