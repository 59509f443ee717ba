"""One fixed pair for documentation, doctests and first tries."""

import jax.numpy as jnp

from gradlab.types import PairLogps


def example_pair() -> PairLogps:
    """A batch of one pair: a chosen response of 2 tokens and a rejected one of 3.

    S_w = -3, S_l = -4.5, reference sums -3.5 and -4, hence log-ratios a = 0.5 and
    b = -0.5. The chosen side is padded to 3 tokens, on purpose with a positive number.

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
    )
