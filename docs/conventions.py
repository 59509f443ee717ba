"""One pair under every convention that public software follows for one name.

The tables in `docs.topics` and `docs.topics_scales` are literal; their numbers are
computed by `docs.generate`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradlab.losses.terms import log_ratios, masked
from gradlab.types import Array, LossFn, PairLogps


class Row(NamedTuple):
    """One convention.

    Attributes:
      convention: what is done.
      loss: a specification, or a function where gradlab has no loss for it.
      used_by: libraries and versions.
    """

    convention: str
    loss: str | LossFn
    used_by: str


class Topic(NamedTuple):
    """A name, or a choice, under which implementations differ."""

    title: str
    remark: str
    rows: tuple[Row, ...]


def pair() -> PairLogps:
    """4 chosen and 8 rejected tokens; a = -0.6, b = -2.1, S_w = -2.5, S_l = -8.

    Two rejected tokens have a log-ratio of exactly 0.
    """
    chosen = jnp.array([[-0.5, -1.0, -0.25, -0.75]])
    rejected = jnp.array([[-1.0, -0.5, -2.0, -0.25, -1.5, -0.75, -1.25, -0.75]])
    fell_chosen = jnp.array([[0.3, 0.1, -0.2, 0.4]])
    fell_rejected = jnp.array([[0.5, -0.1, 0.8, 0.0, 0.4, 0.2, 0.3, 0.0]])
    return PairLogps(
        chosen=chosen,
        rejected=rejected,
        chosen_mask=jnp.ones((1, 4)),
        rejected_mask=jnp.ones((1, 8)),
        ref_chosen=chosen + fell_chosen,
        ref_rejected=rejected + fell_rejected,
        chosen_logsumsq=jnp.array([[-0.8, -1.1, -0.4, -1.0]]),
        rejected_logsumsq=jnp.array([[-1.2, -0.8, -1.5, -0.4, -1.4, -1.0, -1.3, -1.1]]),
        kl_logratios=jnp.array([0.4]),
    )


def ipo_per_changed_token(pairs: PairLogps, *, tau: float = 0.1) -> Array:
    """IPO averaged over tokens whose log-ratio isn't 0, as HALOs does."""
    margin = 0.0
    for sign, side in ((1.0, "chosen"), (-1.0, "rejected")):
        mask = getattr(pairs, f"{side}_mask")
        ratio = getattr(pairs, side) - getattr(pairs, f"ref_{side}")
        ratio = masked(ratio, mask)
        margin += sign * jnp.sum(ratio, -1) / jnp.sum(ratio != 0, -1)
    return (margin - 1.0 / (2.0 * tau)) ** 2


def dpop_with(hinge) -> LossFn:
    """DPOP at beta 0.3 and lambda 50 with another way to write max(0, -a)."""

    def loss(pairs: PairLogps) -> Array:
        a, b = log_ratios(pairs, "dpop")
        return -jax.nn.log_sigmoid(0.3 * (a - b - 50.0 * hinge(-a)))

    return loss


def torch_clamp(x: Array) -> Array:
    """max(0, x) with derivative 1 at 0, like `torch.clamp(x, min=0)`."""
    return jnp.where(x >= 0, x, 0.0)
