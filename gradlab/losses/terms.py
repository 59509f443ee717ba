"""The terms that losses are made of: masked sums, log-ratios, stable logarithms.

Every function selects with the mask *before* any arithmetic, so that whatever masked
entries hold (infinities and NaN included) reaches neither a value nor a gradient. Sums
run over the last axis: a loss works on [B, T] arrays and, under `jax.vmap`, on [T].
Arrays of 16 bits are taken to float32 first: bfloat16 keeps three digits of a sum.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradlab.losses.checks import check_shapes, require
from gradlab.types import Array, PairLogps


class Sides(NamedTuple):
    """One quantity for both responses."""

    chosen: Array
    rejected: Array


def upcast(values: Array) -> Array:
    """At least float32, whatever 16-bit type the log-probabilities came in."""
    return jnp.asarray(values, jnp.promote_types(jnp.result_type(values), jnp.float32))


def masked(values: Array, mask: Array, fill: float = 0.0) -> Array:
    """`values` where the mask is set, `fill` elsewhere. [.., T] -> [.., T]."""
    return jnp.where(jnp.asarray(mask, bool), upcast(values), fill)


def seq_sum(values: Array, mask: Array) -> Array:
    """Sum over the response's tokens. [.., T] -> [..]."""
    return jnp.sum(masked(values, mask), axis=-1)


def spread(per_pair: Array, mask: Array) -> Array:
    """A per-pair number on each of the pair's response tokens. [..] -> [.., T]."""
    return masked(jnp.broadcast_to(per_pair[..., None], jnp.shape(mask)), mask)


def seq_logps(pairs: PairLogps) -> Sides:
    """S_w, S_l: summed policy log-probability of each response, [B] nats."""
    check_shapes(pairs)
    return Sides(
        seq_sum(pairs.chosen, pairs.chosen_mask),
        seq_sum(pairs.rejected, pairs.rejected_mask),
    )


def ref_seq_logps(pairs: PairLogps, loss: str) -> Sides:
    """R_w, R_l: summed reference log-probability, [B] nats, no gradient."""
    ref_chosen, ref_rejected = require(pairs, loss, "ref_chosen", "ref_rejected")
    return Sides(
        jax.lax.stop_gradient(seq_sum(ref_chosen, pairs.chosen_mask)),
        jax.lax.stop_gradient(seq_sum(ref_rejected, pairs.rejected_mask)),
    )


def lengths(pairs: PairLogps) -> Sides:
    """L_w, L_l: response tokens of each side, [B]; an empty response counts as 1."""
    check_shapes(pairs)
    dtype = jnp.result_type(pairs.chosen, pairs.rejected, jnp.float32)

    def count(mask):
        tokens = jnp.sum(jnp.asarray(mask, bool), axis=-1)
        return jnp.maximum(tokens, 1).astype(dtype)

    return Sides(count(pairs.chosen_mask), count(pairs.rejected_mask))


def mean_logps(pairs: PairLogps) -> Sides:
    """A_w, A_l: mean token log-probability of each response, [B] nats per token."""
    sums, counts = seq_logps(pairs), lengths(pairs)
    return Sides(sums.chosen / counts.chosen, sums.rejected / counts.rejected)


def log_ratios(pairs: PairLogps, loss: str) -> Sides:
    """a, b: summed log-ratio of policy to reference of each side, [B] nats.

    The difference is taken per token, before the sum: two sums of size 1e4 would lose
    the small terms in float32.
    """
    ref_chosen, ref_rejected = require(pairs, loss, "ref_chosen", "ref_rejected")

    def ratio(logps, ref, mask):
        return jnp.sum(
            masked(logps, mask) - jax.lax.stop_gradient(masked(ref, mask)), axis=-1
        )

    return Sides(
        ratio(pairs.chosen, ref_chosen, pairs.chosen_mask),
        ratio(pairs.rejected, ref_rejected, pairs.rejected_mask),
    )


def mean_log_ratios(pairs: PairLogps, loss: str) -> Sides:
    """abar, bbar: log-ratio per token of each side, [B] nats per token."""
    sums, counts = log_ratios(pairs, loss), lengths(pairs)
    return Sides(sums.chosen / counts.chosen, sums.rejected / counts.rejected)


def batch_share(sums: Array, pairs: PairLogps, mask: Array) -> Array:
    """B S / N: each pair's share of the mean over all tokens of the batch, [B]."""
    return sums * batch_size(pairs) / batch_tokens(mask)


def batch_tokens(mask: Array) -> Array:
    """N: response tokens of one side over the whole batch, at least 1, a scalar."""
    return jnp.maximum(jnp.sum(jnp.asarray(mask, bool)), 1)


def batch_size(pairs: PairLogps) -> int:
    """B, or 1 for a single pair without a batch axis."""
    return math.prod(jnp.shape(pairs.chosen)[:-1])


@jax.custom_jvp
def log1mexp(x: Array) -> Array:
    """log(1 - e^x) for x <= 0, and -inf at x = 0.

    Two branches keep the digits (Maechler 2012): log(-expm1(x)) near 0, where 1 - e^x
    cancels, and log1p(-e^x) far from it, where e^x vanishes. The derivative needs no
    branches.
    """
    near = x > -math.log(2.0)
    return jnp.where(near, jnp.log(-jnp.expm1(x)), jnp.log1p(-jnp.exp(x)))


@log1mexp.defjvp
def _log1mexp_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return log1mexp(x), -dx * odds(x)


def odds(x: Array) -> Array:
    """p / (1 - p) of p = e^x, x <= 0. +inf at x = 0, for which -x would be -0."""
    return 1.0 / jnp.expm1(jnp.abs(x))


def logistic_loss(margin: Array, label_smoothing: float = 0.0) -> Array:
    """-(1-eps) log s(m) - eps log s(-m), elementwise."""
    loss = -jax.nn.log_sigmoid(margin)
    if isinstance(label_smoothing, float | int) and label_smoothing == 0:
        return loss
    flipped = -jax.nn.log_sigmoid(-margin)
    return (1.0 - label_smoothing) * loss + label_smoothing * flipped


def logistic_slope(margin: Array, label_smoothing: float = 0.0) -> Array:
    """Derivative of `logistic_loss`: -(s(-m) - eps), elementwise."""
    return -(jax.nn.sigmoid(-margin) - label_smoothing)


def clip_exponent(z: Array, exp_clip: float | None) -> Array:
    """z below exp_clip, and the constant exp_clip (derivative 0) from there on."""
    return z if exp_clip is None else jnp.where(z < exp_clip, z, exp_clip)


def clipped_exp(z: Array, exp_clip: float | None) -> Array:
    """exp(z), constant (derivative 0) for z >= exp_clip; `None` disables the clip."""
    return jnp.exp(clip_exponent(z, exp_clip))


def clipped_slope(z: Array, exp_clip: float | None) -> Array:
    """Derivative of `clipped_exp`: exp(z), and 0 for z >= exp_clip."""
    slope = clipped_exp(z, exp_clip)
    return slope if exp_clip is None else jnp.where(z < exp_clip, slope, 0.0)
