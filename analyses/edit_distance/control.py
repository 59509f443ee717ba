"""Losses with a known mistake, or with another choice at a kink: controls of the study.

They are named by `module:function`, as a user's own losses are.
"""

import jax
import jax.numpy as jnp

from gradlab.types import Array, PairLogps


def _log_ratio(policy: Array, reference: Array | None, mask: Array) -> Array:
    assert reference is not None  # the study gives it
    return jnp.where(mask, policy - reference, 0).sum(-1)


def log_ratios(pairs: PairLogps) -> tuple[Array, Array]:
    """a and b: summed log-ratios of both sides, [B] each."""
    return (
        _log_ratio(pairs.chosen, pairs.ref_chosen, pairs.chosen_mask),
        _log_ratio(pairs.rejected, pairs.ref_rejected, pairs.rejected_mask),
    )


def dpop_sign_error(pairs: PairLogps, *, beta: float = 0.3, lam: float = 50.0) -> Array:
    """DPO-Positive with the penalty's sign mirrored: a rising chosen side is punished.

    Formula:
        L = -log s(beta (h - lam max(0, a)))
    """
    a, b = log_ratios(pairs)
    return jax.nn.softplus(-beta * (a - b - lam * jax.nn.relu(a)))


def dpop_maximum(pairs: PairLogps, *, beta: float = 0.3, lam: float = 50.0) -> Array:
    """DPO-Positive with `jnp.maximum`: half of the penalty's slope at a = 0."""
    a, b = log_ratios(pairs)
    return jax.nn.softplus(-beta * (a - b - lam * jnp.maximum(-a, 0)))


def dpop_clamp(pairs: PairLogps, *, beta: float = 0.3, lam: float = 50.0) -> Array:
    """DPO-Positive with the whole slope at a = 0, as `torch.clamp` has it."""
    a, b = log_ratios(pairs)
    return jax.nn.softplus(-beta * (a - b - lam * jnp.where(a <= 0, -a, 0)))
