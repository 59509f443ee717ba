"""Token weights: the derivative of a loss with respect to each token log-probability.

    w[b, t] = d (sum_i L_i) / d logp[b, t]        loss per nat; negative: it is raised

A preference loss sees the model only through token log-probabilities, so its parameter
gradient factors into J^T w: the weights w need the loss alone, the Jacobian J the model
alone. Everything that can be said of a loss without a model is said by w.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.losses.checks import check_shapes, check_values
from gradlab.losses.resolve import resolve
from gradlab.losses.terms import upcast
from gradlab.types import Array, LossFn, PairLogps, PairWeights


def token_weights(loss: str | LossFn, pairs: PairLogps, **hyper: Any) -> PairWeights:
    """w = d(sum over pairs of L) / dlogp for every token of both responses.

    For a loss that couples pairs through the batch this is B times the derivative of
    the batch mean.

    Args:
      loss: a name of `LOSSES`, a specification such as "dpop(lam=5)", or a function
        `(pairs, **hyper) -> [B]`.
      pairs: token log-probabilities in nats; [B, T] and [B, T'].
      **hyper: the loss's hyperparameters.

    Returns:
      `PairWeights`, in loss per nat, of at least float32: float16 holds no weight above
      65,504. Negative: a gradient step raises the token.

    Raises:
      LossInputError: unknown loss or hyperparameter, missing field, unequal shapes,
        unmasked log-probabilities that are NaN or positive.

    Guarantees:
      Masked entries are exactly 0. Works under `jax.jit` and `jax.vmap`.

    Example:
      >>> token_weights("dpo", example_pair(), beta=0.1).chosen.round(4)
      Array([[-0.0475, -0.0475,  0.    ]], dtype=float32)
    """
    return value_and_token_weights(loss, pairs, **hyper)[1]


def value_and_token_weights(
    loss: str | LossFn, pairs: PairLogps, **hyper: Any
) -> tuple[Array, PairWeights]:
    """The loss of each pair, [B], and the token weights, from one backward pass."""
    check_shapes(pairs)
    check_values(pairs)
    bound = resolve(loss, **hyper)

    def total(chosen: Array, rejected: Array) -> tuple[Array, Array]:
        values = bound(replace(pairs, chosen=chosen, rejected=rejected))
        return jnp.sum(values), values

    grads, values = jax.grad(total, argnums=(0, 1), has_aux=True)(
        upcast(pairs.chosen), upcast(pairs.rejected)
    )
    return values, PairWeights(*grads)


def logit_gradient_norm(weights: Array, logps: Array, log_sum_sq: Array) -> Array:
    """Euclidean norm of dL/dlogits at each position, without the [B, T, V] gradient.

    Formula:
        dL/dz_v = w ([v = y] - p_v),
        hence ||dL/dz|| = |w| sqrt(1 - 2 p_y + sum_v p_v^2)

    The radicand is evaluated as (1 - p_y)^2 + r, where r = sum_v p_v^2 - p_y^2 is the
    share of the other tokens and lies between 0 and (1 - p_y)^2. Where the model is
    sure of the token r is all rounding error, and that bound keeps the norm right
    within a factor of sqrt(2).

    Args:
      weights: [B, T] token weights, in loss per nat.
      logps: [B, T] log p_y of the target token, in nats.
      log_sum_sq: [B, T] log sum_v p_v^2.

    Returns:
      [B, T], in loss per logit unit. 0 where the weight is 0, whatever the rest holds.

    Example:
      Two equally likely tokens: |w| (1/2) sqrt(2).
      >>> half = jnp.log(jnp.array([0.5]))
      >>> logit_gradient_norm(jnp.array([-1.0]), half, half).round(4)
      Array([0.7071], dtype=float32)
    """
    active = weights != 0.0
    safe_logps = jnp.where(active, logps, -1.0)
    miss = -jnp.expm1(safe_logps)
    others = jnp.exp(jnp.where(active, log_sum_sq, 0.0)) - jnp.exp(2.0 * safe_logps)
    norm = jnp.sqrt(miss**2 + jnp.clip(others, 0.0, miss**2))
    return jnp.where(active, jnp.abs(weights) * norm, 0.0)
