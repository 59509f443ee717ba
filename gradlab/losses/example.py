"""Pairs to try losses on: a fixed one, and random ragged batches."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gradlab.types import PairLogps


def example_pair() -> PairLogps:
    """A batch of one pair: a chosen response of 2 tokens and a rejected one of 3.

    S_w = -3, S_l = -4.5, reference sums -3.5 and -4, hence log-ratios a = 0.5 and
    b = -0.5. The chosen side is padded to 3 tokens, on purpose with a positive number.
    It has what every loss needs: a collision probability for WPO, a selection for
    SamPO, a mismatched log-ratio for KTO.

    Returns:
      `PairLogps` with [1, 3] arrays, in nats.

    Example:
      >>> example_pair().chosen_mask.sum()
      Array(2., dtype=float32)
    """
    return PairLogps(
        chosen=jnp.array([[-1.0, -2.0, 9.0]]),
        rejected=jnp.array([[-1.0, -3.0, -0.5]]),
        chosen_mask=jnp.array([[1.0, 1.0, 0.0]]),
        rejected_mask=jnp.array([[1.0, 1.0, 1.0]]),
        ref_chosen=jnp.array([[-1.5, -2.0, 9.0]]),
        ref_rejected=jnp.array([[-1.0, -2.5, -0.5]]),
        chosen_logsumsq=jnp.array([[-0.75, -1.5, 9.0]]),
        rejected_logsumsq=jnp.array([[-0.75, -1.5, -0.75]]),
        chosen_keep=jnp.array([[1.0, 1.0, 0.0]]),
        rejected_keep=jnp.array([[1.0, 0.0, 1.0]]),
        kl_logratios=jnp.array([0.25]),
    )


def random_pairs(
    seed: int,
    *,
    batch: int = 3,
    chosen_width: int = 5,
    rejected_width: int = 7,
    dtype: Any = None,
    left_padding: bool = False,
) -> PairLogps:
    """A ragged batch of log-probabilities with a nearby reference and all else.

    The three sizes differ by default, so that a mixed-up axis can't go unnoticed.

    Args:
      seed: of everything.
      batch: B.
      chosen_width: T.
      rejected_width: T'.
      dtype: of the arrays; the default is jax's.
      left_padding: put the padding before the response.

    Returns:
      `PairLogps`; masked entries hold ordinary log-probabilities.

    Example:
      >>> random_pairs(0).rejected.shape
      (3, 7)
    """
    rng = np.random.default_rng(seed)
    fields = {}
    for side, width in (("chosen", chosen_width), ("rejected", rejected_width)):
        logps = -rng.exponential(1.0, (batch, width)) - 1e-3
        lengths = rng.integers(1, width + 1, (batch, 1))
        steps = np.arange(width)[::-1] if left_padding else np.arange(width)
        ref = np.minimum(logps + rng.normal(0, 0.5, logps.shape), -1e-3)
        log_sum_sq = -rng.exponential(1.0, logps.shape)
        keep = (steps < lengths) & (rng.random(logps.shape) < 0.7)
        fields[side] = jnp.asarray(logps, dtype)
        fields[f"{side}_mask"] = jnp.asarray(steps < lengths, fields[side].dtype)
        fields[f"ref_{side}"] = jnp.asarray(ref, dtype)
        fields[f"{side}_logsumsq"] = jnp.asarray(log_sum_sq, dtype)
        fields[f"{side}_keep"] = jnp.asarray(keep, fields[side].dtype)
    return PairLogps(**fields, kl_logratios=jnp.asarray(rng.normal(0, 1, 6), dtype))
