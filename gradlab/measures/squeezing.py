"""Squeezing: where the mass goes when a token is pushed down.

A softmax whose logits alone are trained answers a push of strength s = eta b against
token y, z' = z - s (e_y - p), with

    p'_i / p_i = exp(s (p_i - [i = y])) / Z          exactly
    dlog p_i   = s (p_i - [i = y] - q + p_y)          to first order, q = sum_j p_j^2

A third token gains only if p_i + p_y > q: the most likely one takes what the others
lose (the squeezing effect of Ren & Sutherland, Learning Dynamics of LLM Finetuning,
arXiv:2407.10490). Arrays hold log-probabilities, the vocabulary on the last axis.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.types import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Squeeze:
    """What a step did at each position, [...]; probabilities and nats.

    v* is the most likely token before the step that is not the pushed one; the masses
    of v*, of y and of the rest add up to 1.

    Attributes:
      freed: sum_v max(0, p_v - p'_v), the mass that moved (total variation).
      absorbed: max(0, p'_{v*} - p_{v*}) / freed; NaN where nothing moved.
      top_before: p_{v*}; `top_after` likewise.
      target_before: p_y; `target_after` likewise.
      rest_before: the mass of all others; `rest_after` likewise.
      target_rank: how many tokens were more likely than y before the step: 0 is a push
        against the peak, large one in a valley.
      entropy_change: in nats.
      max_change: change of the largest probability, whichever token has it.
      peak: the id of v* (int32).
    """

    freed: Array
    absorbed: Array
    top_before: Array
    top_after: Array
    target_before: Array
    target_after: Array
    rest_before: Array
    rest_after: Array
    target_rank: Array
    entropy_change: Array
    max_change: Array
    peak: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Movers:
    """The tokens that gain and lose most at each position, by predicted change.

    Attributes:
      gaining: [..., k] token ids, the largest predicted gain of probability first.
      losing: [..., k] token ids, the largest predicted loss first.
      gaining_predicted: [..., k] p dlog p of each; `gaining_realised` is p' - p.
      losing_predicted: [..., k]
    """

    gaining: Array
    losing: Array
    gaining_predicted: Array
    gaining_realised: Array
    losing_predicted: Array
    losing_realised: Array


def softmax_step(logps: Array, targets: Array, strength: Array | float) -> Array:
    """Log-probabilities after one step of a softmax whose logits alone are trained.

    Args:
      logps: [..., V] before.
      targets: [...] the token pushed down.
      strength: eta b, the learning rate times the weight dL/dlogp; negative pulls up.

    Returns:
      [..., V], exact.

    Guarantees:
      With a positive strength p_y falls, and the most likely of the others rises.

    Example:
      >>> logps = jnp.log(jnp.array([0.70, 0.20, 0.08, 0.02]))
      >>> after = jnp.exp(softmax_step(logps, jnp.array(3), 1.0))
      >>> " ".join(f"{p:.3f}" for p in after)
      '0.806 0.140 0.050 0.004'
    """
    return jax.nn.log_softmax(logps + _push(logps, targets, strength))


def softmax_change(logps: Array, targets: Array, strength: Array | float) -> Array:
    """First-order dlog p of `softmax_step`: s (p_i - [i = y] - q + p_y). [..., V]."""
    push = _push(logps, targets, strength)
    return push - jnp.sum(jnp.exp(logps) * push, axis=-1, keepdims=True)


def _push(logps: Array, targets: Array, strength: Array | float) -> Array:
    onehot = jax.nn.one_hot(targets, logps.shape[-1], dtype=logps.dtype)
    return jnp.asarray(strength)[..., None] * (jnp.exp(logps) - onehot)


def squeeze(before: Array, after: Array, targets: Array) -> Squeeze:
    """Measures of one step at each position.

    Args:
      before: [..., V] log-probabilities before the step.
      after: [..., V] after it.
      targets: [...] the token pushed down.

    Returns:
      `Squeeze` of [...].
    """
    p, new = jnp.exp(before), jnp.exp(after)
    is_target = jnp.arange(p.shape[-1]) == targets[..., None]
    peak = jnp.argmax(jnp.where(is_target, -1, p), axis=-1)
    target = (_at(p, targets), _at(new, targets))
    top = (_at(p, peak), _at(new, peak))
    freed = jnp.sum(jnp.maximum(p - new, 0), axis=-1)
    others = ~is_target & (jnp.arange(p.shape[-1]) != peak[..., None])
    return Squeeze(
        freed=freed,
        absorbed=jnp.maximum(top[1] - top[0], 0) / freed,
        top_before=top[0],
        top_after=top[1],
        target_before=target[0],
        target_after=target[1],
        rest_before=jnp.sum(jnp.where(others, p, 0), axis=-1),
        rest_after=jnp.sum(jnp.where(others, new, 0), axis=-1),
        target_rank=jnp.sum(p > target[0][..., None], axis=-1),
        entropy_change=_entropy(after) - _entropy(before),
        max_change=new.max(-1) - p.max(-1),
        peak=peak.astype(jnp.int32),
    )


def top_movers(
    before: Array, after: Array, predicted: Array, *, top: int = 5
) -> Movers:
    """The tokens whose probability is predicted to move most, and how they did.

    Args:
      before: [..., V] log-probabilities before the step.
      after: [..., V] after it.
      predicted: [..., V] first-order dlog p of the step, from `dynamics`, or from
        `softmax_change`.
      top: tokens on each side.

    Returns:
      `Movers` of [..., top].

    Raises:
      GradlabError: `top` is not between 1 and V.
    """
    if not 1 <= top <= before.shape[-1]:
        raise GradlabError(f"top is {top}; expected 1 to V = {before.shape[-1]}")
    change = jnp.exp(before) * predicted
    realised = jnp.exp(after) - jnp.exp(before)
    up, gaining = jax.lax.top_k(change, top)
    down, losing = jax.lax.top_k(-change, top)
    return Movers(
        gaining=gaining,
        losing=losing,
        gaining_predicted=up,
        gaining_realised=jnp.take_along_axis(realised, gaining, -1),
        losing_predicted=-down,
        losing_realised=jnp.take_along_axis(realised, losing, -1),
    )


def top_mass(logps: Array, tokens: Array) -> Array:
    """Mass of the given tokens [..., k], from [..., V] log-probabilities. [...]

    With the ids of `top_movers` or of an earlier top k, the mass of a frozen set.
    """
    return jnp.sum(jnp.exp(jnp.take_along_axis(logps, tokens, -1)), axis=-1)


def unembedding_alignment(head: Array, chosen: Array, rejected: Array) -> Array:
    """<W_v, W_chosen - W_rejected> of every token v: who rides along with the pair.

    Args:
      head: [D, V], logits = hidden @ head.
      chosen: [...] token ids pulled up.
      rejected: [...] token ids pushed down, at the same position.

    Returns:
      [..., V]
    """
    return (head.T[chosen] - head.T[rejected]) @ head


def rank_correlation(one: Array, two: Array) -> Array:
    """Spearman's correlation along the last axis, ties by their mean rank. [...]"""
    a, b = _ranks(one), _ranks(two)
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    return jnp.sum(a * b, -1) / jnp.sqrt(jnp.sum(a * a, -1) * jnp.sum(b * b, -1))


def _ranks(values: Array) -> Array:
    # Positions of the first and the last equal number in the sorted row, halved.
    flat = values.reshape(-1, values.shape[-1])
    ordered = jnp.sort(flat, axis=-1)
    low = jax.vmap(jnp.searchsorted)(ordered, flat)
    high = jax.vmap(lambda o, x: jnp.searchsorted(o, x, side="right"))(ordered, flat)
    return (0.5 * (low + high).astype(values.dtype)).reshape(values.shape)


def squeeze_stream(
    read: Callable[[Any], tuple[Array, Array]],
    positions: Any,
    targets: Array,
    *,
    microbatch: int = 64,
) -> Squeeze:
    """`squeeze` over many positions, a few at a time.

    Args:
      read: one position's entry of `positions` -> log-probabilities before and after
        the step, [V] each: two products with the unembedding, say.
      positions: a pytree of arrays with a leading axis over positions, such as hidden
        states before and after.
      targets: [positions] the tokens pushed down.
      microbatch: positions whose [V] rows exist at once.

    Returns:
      `Squeeze` of [positions].
    """

    def one(entry: tuple[Any, Array]) -> Squeeze:
        return squeeze(*read(entry[0]), entry[1])

    return jax.lax.map(one, (positions, targets), batch_size=microbatch)


def _at(values: Array, ids: Array) -> Array:
    return jnp.take_along_axis(values, ids[..., None], -1)[..., 0]


def _entropy(logps: Array) -> Array:
    p = jnp.exp(logps)
    return -jnp.sum(p * jnp.where(p > 0, logps, 0), axis=-1)  # 0 log 0 = 0
