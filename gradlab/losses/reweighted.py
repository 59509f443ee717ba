"""Losses that select tokens or weigh pairs: SamPO and WPO.

Symbols as in `gradlab.losses.dpo`.
"""

import jax
import jax.numpy as jnp

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_range, check_shapes, require
from gradlab.losses.terms import (
    Sides,
    lengths,
    log_ratios,
    logistic_loss,
    masked,
)
from gradlab.types import Array, PairLogps


def sampo(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    shared_indices: bool = True,
    key: Array | int | None = None,
) -> Array:
    """SamPO: DPO on as many tokens of the longer response as the shorter one has.

    Formula:
        The longer side keeps min(L_w, L_l) of its tokens, drawn uniformly without
        replacement; the shorter keeps all. With 0/1 selections k_w, k_l:
        m = beta [sum_t k_w (logp_w - ref_w) - sum_t k_l (logp_l - ref_l)]
        L = -log s(m)

    Gradient:
        c = -beta s(-m); G_w,t = c k_w,t, G_l,t = -c k_l,t: 0 on tokens not kept.

    Args:
      pairs: token log-probabilities with reference, and `chosen_keep`, `rejected_keep`
        unless `key` is given.
      beta: strength of the pull to the reference, per nat.
      shared_indices: policy and reference use the same selection; False needs `key`.
      key: PRNG key or seed; the selections are then drawn here, by `draw_kept`, and
        those in `pairs` are not used. Take a new one at every step.

    Returns:
      [B]; with shared indices log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, no selection, `shared_indices=False` without `key`,
        or arrays of unequal shape.

    Conventions:
        The authors' code (LuJunru/SamPO 25e9631) draws for policy and reference
        independently, in two forward passes: `shared_indices=False`. Its margin is
        noisy, and not 0 where policy and reference agree.

    Example:
      >>> f"{sampo(example_pair())[0]:.4f}"
      '0.6685'

    References:
      Lu et al., Eliminating Biased Length Reliance of Direct Preference Optimization
      via Down-Sampled KL Divergence, arXiv:2406.10957.
    """
    ref = Sides(*require(pairs, "sampo", "ref_chosen", "ref_rejected"))
    kept, ref_kept = sampo_selections(pairs, shared_indices, key)

    def ratio(side: str) -> Array:
        policy = masked(getattr(pairs, side), getattr(kept, side))
        frozen = masked(getattr(ref, side), getattr(ref_kept, side))
        return jnp.sum(policy - jax.lax.stop_gradient(frozen), axis=-1)

    return logistic_loss(beta * (ratio("chosen") - ratio("rejected")))


def sampo_selections(
    pairs: PairLogps, shared_indices: bool, key: Array | int | None
) -> tuple[Sides, Sides]:
    """The tokens kept of the policy and of the reference, drawn or as given."""
    if key is not None:
        key = jax.random.key(key) if isinstance(key, int) else key
        kept = draw_kept(pairs, key)
        other = kept if shared_indices else draw_kept(pairs, jax.random.fold_in(key, 1))
        return kept, other
    if not shared_indices:
        raise LossInputError(
            "loss 'sampo': shared_indices=False draws twice and needs key, a PRNG key "
            "or a seed; found None"
        )
    keep = require(pairs, "sampo", "chosen_keep", "rejected_keep")
    kept = Sides(
        jnp.asarray(keep[0], bool) & jnp.asarray(pairs.chosen_mask, bool),
        jnp.asarray(keep[1], bool) & jnp.asarray(pairs.rejected_mask, bool),
    )
    return kept, kept


def draw_kept(pairs: PairLogps, key: Array) -> Sides:
    """SamPO's draw: as many tokens of the longer response as the shorter one has.

    Args:
      pairs: only the masks are used.
      key: PRNG key.

    Returns:
      Two boolean arrays, [B, T] and [B, T'].

    Guarantees:
      Uniform without replacement. A pair's draw depends on the key, its place in the
      batch and its lengths, not on padding or on the other pairs.

    Example:
      >>> [int(k.sum()) for k in draw_kept(example_pair(), jax.random.key(0))]
      [2, 2]
    """
    check_shapes(pairs)
    masks = [jnp.asarray(m, bool) for m in (pairs.chosen_mask, pairs.rejected_mask)]
    counts = [jnp.sum(m, axis=-1, keepdims=True) for m in masks]
    shorter = jnp.minimum(*counts)
    kept = []
    for side, mask in enumerate(masks):
        scores = jnp.where(mask, _uniforms(jax.random.fold_in(key, side), mask), 2.0)
        ranks = jnp.argsort(jnp.argsort(scores, axis=-1), axis=-1)
        kept.append(mask & (ranks < shorter))
    return Sides(*kept)


def _uniforms(key: Array, mask: Array) -> Array:
    """One number in [0, 1) per pair and response token, the same with more padding."""
    rows = mask.reshape(-1, mask.shape[-1])
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(len(rows)))
    by_token = jax.vmap(lambda k: jax.random.uniform(k, mask.shape[-1:]))(keys)
    token = jnp.maximum(jnp.cumsum(rows, axis=-1) - 1, 0)
    return jnp.take_along_axis(by_token, token, axis=-1).reshape(mask.shape)


def wpo(
    pairs: PairLogps,
    *,
    beta: float = 0.01,
    clamp: bool = True,
    label_smoothing: float = 0.0,
) -> Array:
    """WPO: DPO weighted by how likely the pair is under the current policy.

    Formula:
        q_t = log sum_v p_v^2; u = exp((1/L) sum_t (logp_t - q_t)) of each side
        W = min(1, u_w u_l), or u_w u_l without clamp, held constant
        L = W [-(1-eps) log s(beta h) - eps log s(-beta h)]

    Gradient:
        D_w = -W beta (s(-beta h) - eps), D_l = -D_w. None flows through W, so the
        weights aren't the derivative of the printed value.

    Args:
      pairs: token log-probabilities with reference, and `chosen_logsumsq`,
        `rejected_logsumsq`: q at each position.
      beta: strength of the pull to the reference, per nat.
      clamp: cap W at 1.
      label_smoothing: eps in [0, 1).

    Returns:
      [B].

    Raises:
      LossInputError: no reference, no log sum p^2, eps out of range, or arrays of
        unequal shape.

    Conventions:
        The authors' code (wzhouad/WPO a1044581) caps the product at 1; TRL 1.16
        (`use_weighting`) doesn't: `clamp=False`. open-instruct's `wpo_loss` averages a
        summed log-probability and has no q: another quantity. Since max p >= sum p^2,
        greedy text always has u >= 1.

    Example:
      >>> f"{wpo(example_pair())[0]:.4f}"
      '0.2869'

    References:
      Zhou et al., WPO: Enhancing RLHF with Weighted Preference Optimization,
      arXiv:2406.11827.
    """
    check_range("wpo", "label_smoothing", label_smoothing, 0.0, 1.0)
    a, b = log_ratios(pairs, "wpo")
    return wpo_weight(pairs, clamp) * logistic_loss(beta * (a - b), label_smoothing)


def wpo_weight(pairs: PairLogps, clamp: bool) -> Array:
    """W of each pair, [B], without gradient."""
    sumsq = require(pairs, "wpo", "chosen_logsumsq", "rejected_logsumsq")
    counts = lengths(pairs)

    def log_u(side: str, q: Array) -> Array:
        mask = getattr(pairs, f"{side}_mask")
        excess = masked(getattr(pairs, side), mask) - masked(q, mask)
        return jnp.sum(excess, axis=-1) / getattr(counts, side)

    log_w = log_u("chosen", sumsq[0]) + log_u("rejected", sumsq[1])
    return jax.lax.stop_gradient(jnp.exp(jnp.minimum(log_w, 0.0) if clamp else log_w))
