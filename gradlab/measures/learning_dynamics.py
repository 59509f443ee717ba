"""Learning dynamics: what a step on some tokens does to the prediction at others.

For logits z [V] at a probe position and one step of gradient descent on update
positions u, to first order in the learning rate (Ren & Sutherland, Learning Dynamics of
LLM Finetuning, arXiv:2407.10490),

    d log p = -eta A sum_u K_u G_u
    A   = I - 1 p^T                   [V, V]  the probe's own softmax
    K_u = (dz/dtheta)(dz_u/dtheta)^T  [V, V]  the empirical tangent kernel
    G_u = dL/dz_u = w_u (e_y - p_u)   [V]     the residual; w = -1: likelihood training

K is never formed: K G is a transposed pass through the update positions and a forward
pass through the probe positions. A model enters as functions of its parameters that
return logits, [M, V] at the probes and [U, V] at the updates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.types import Array, Params

LogitsFn = Callable[[Params], Array]  # params -> logits [positions, V]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Dynamics:
    """First-order change at probe positions, per unit learning rate.

    Attributes:
      logits: [M, V] -K G: change of each logit.
      logps: [M, V] -A K G: change of each log-probability, in nats.
      probs: [M, V] the same for probabilities, p times that; sums to 0 over V.
    """

    logits: Array
    logps: Array
    probs: Array


def residuals(logits: Array, targets: Array, weights: Array | None = None) -> Array:
    """G = w (e_y - p): the gradient of the loss on the logits of update positions.

    Args:
      logits: [U, V].
      targets: [U] the tokens there.
      weights: [U] dL/dlogp from `token_weights`; -1 by default (likelihood training).

    Returns:
      [U, V], loss per logit unit; each row sums to 0.

    Example:
      >>> residuals(jnp.zeros((1, 4)), jnp.array([2]))
      Array([[ 0.25,  0.25, -0.75,  0.25]], dtype=float32)
    """
    onehot = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    pull = jnp.full(targets.shape, -1.0) if weights is None else weights
    return pull.astype(logits.dtype)[..., None] * (onehot - jax.nn.softmax(logits))


def centre(logits: Array, push: Array) -> Array:
    """A push = push - <p, push>: from changes of logits to changes of log p. [..., V].

    Two positions apart in nothing but a constant push have the same log-probabilities.
    """
    mean = jnp.sum(jax.nn.softmax(logits) * push, axis=-1, keepdims=True)
    return push - mean


def centre_norm(log_sum_sq: Array, vocab: int) -> Array:
    """||A||_F = sqrt(V sum_v p_v^2 + V - 2) at each position, [...].

    Args:
      log_sum_sq: log sum_v p_v^2, as in `TokenStats`.
      vocab: V.
    """
    return jnp.sqrt(vocab * jnp.exp(log_sum_sq) + vocab - 2)


def dynamics(
    probe_fn: LogitsFn, update_fn: LogitsFn, params: Params, pushes: Array
) -> Dynamics:
    """What one step on all update positions together does at every probe position.

    Args:
      probe_fn: params -> [M, V].
      update_fn: params -> [U, V].
      params: any pytree of float arrays.
      pushes: [U, V] G at the update positions, from `residuals`.

    Returns:
      `Dynamics` at the M probes; times eta it is the change of a step of size eta on
      the sum of the losses.

    Guarantees:
      One VJP and one JVP, whatever M, U and V are.
    """
    pull = jax.vjp(update_fn, params)[1]
    gradient = pull(pushes)[0]
    descent = jax.tree.map(jnp.negative, gradient)
    logits, moved = jax.jvp(probe_fn, (params,), (descent,))
    return _dynamics(logits, moved)


def _dynamics(logits: Array, moved: Array) -> Dynamics:
    logps = centre(logits, moved)
    return Dynamics(moved, logps, jax.nn.softmax(logits) * logps)


def change_by_update(
    probe_fn: LogitsFn,
    probe_targets: Array,
    update_fn: LogitsFn,
    params: Params,
    pushes: Array,
    *,
    microbatch: int = 1,
) -> Array:
    """Which update token moves which probe token, and by how much.

    Args:
      probe_fn: params -> [M, V].
      probe_targets: [M] the token at each probe position whose log-probability counts.
      update_fn: params -> [U, V].
      params: any pytree of float arrays.
      pushes: [U, V] G at the update positions, from `residuals`.
      microbatch: update tokens whose gradients exist at once.

    Returns:
      [U, M] change of log p(probe token), nats per unit learning rate, caused by each
      update token alone; sums over U to `dynamics(...).logps` of those tokens.

    Raises:
      GradlabError: not one target per probe position.

    Guarantees:
      One VJP and one JVP per update token; memory of `microbatch` gradients.
    """
    pull = jax.vjp(update_fn, params)[1]
    shape = jax.eval_shape(probe_fn, params).shape
    if probe_targets.shape != shape[:-1]:
        raise GradlabError(
            f"probe_targets: shape {probe_targets.shape}, expected one token for each "
            f"probe position, {shape[:-1]}"
        )

    def one(row: Array) -> Array:
        only = jnp.where((jnp.arange(len(pushes)) == row)[:, None], pushes, 0)
        descent = jax.tree.map(jnp.negative, pull(only)[0])
        logits, moved = jax.jvp(probe_fn, (params,), (descent,))
        logps = centre(logits, moved)
        return jnp.take_along_axis(logps, probe_targets[..., None], -1)[..., 0]

    return jax.lax.map(one, jnp.arange(len(pushes)), batch_size=microbatch)


def kernel_norm(
    probe_fn: LogitsFn,
    update_fn: LogitsFn,
    params: Params,
    key: Array,
    *,
    draws: int = 64,
) -> tuple[Array, Array]:
    """||K||_F^2 of each probe position with all update positions, by random vectors.

    Formula:
        E ||K v||^2 = ||K||_F^2 for v of independent standard normal numbers.

    Args:
      probe_fn: params -> [M, V].
      update_fn: params -> [U, V].
      params: any pytree of float arrays.
      key: of `jax.random`.
      draws: random vectors, at least 2; each costs one VJP and one JVP.

    Returns:
      (estimate [M], its standard error [M]) of sum over U of ||K||_F^2, in squared
      (logit per parameter unit)^2.

    Raises:
      GradlabError: fewer than 2 draws.
    """
    if draws < 2:
        raise GradlabError(f"draws is {draws}; a standard error needs at least 2")
    logits, pull = jax.vjp(update_fn, params)

    def one(key: Array) -> Array:
        vector = jax.random.normal(key, logits.shape, logits.dtype)
        moved = jax.jvp(probe_fn, (params,), (pull(vector)[0],))[1]
        return jnp.sum(moved**2, axis=-1)

    squares = jax.lax.map(one, jax.random.split(key, draws))
    return squares.mean(0), squares.std(0, ddof=1) / jnp.sqrt(draws)
