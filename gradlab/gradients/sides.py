"""The parameter gradient of a loss, split into what each side's tokens cause.

    g = g_c + g_r,   g_c = (1/B) sum_i sum_t w^c_{i,t} grad l^c_{i,t},   g_r likewise

with w the token weights. The model is linearised once; each part is one transposed
(reverse) pass through its own side. Signs: g is a gradient of the loss, a step goes
against it; with w < 0 on the chosen side, -g_c raises the chosen tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.groups import group_inner, group_names, parameter_groups
from gradlab.gradients.token import value_and_token_weights
from gradlab.types import Array, LossFn, PairLogps, Params

PairLogpsFn = Callable[[Params], tuple[Array, Array]]
# params -> (chosen [B, T], rejected [B, T']): token log-probs of one batch, in nats
Pullback = Callable[[Array], Params]  # token weights of one side -> J^T w


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SideGradients:
    """A loss gradient in two parts, in loss per parameter unit.

    Attributes:
      values: [B] the loss of each pair.
      chosen: g_c, like params.
      rejected: g_r, like params.
    """

    values: Array
    chosen: Params
    rejected: Params

    @property
    def total(self) -> Params:
        """g_c + g_r: the gradient of the loss, like params."""
        return jax.tree.map(jnp.add, self.chosen, self.rejected)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SideProducts:
    """Norms and inner products of the two parts, for each parameter group.

    Squared norms and inner products add over groups (`whole`); norms and cosines don't.
    A leading axis over pairs is allowed everywhere: [..., G].

    Attributes:
      chosen_sq: [..., G] ||g_c||^2.
      rejected_sq: [..., G] ||g_r||^2.
      total_sq: [..., G] ||g_c + g_r||^2, from the sum itself: exact where they cancel.
      inner: [..., G] <g_c, g_r>; negative where the two parts work against each other.
      groups: the G names.
    """

    chosen_sq: Array
    rejected_sq: Array
    total_sq: Array
    inner: Array
    groups: tuple[str, ...] = field(metadata={"static": True})

    @property
    def chosen_norm(self) -> Array:
        """||g_c||, [..., G]."""
        return jnp.sqrt(self.chosen_sq)

    @property
    def rejected_norm(self) -> Array:
        """||g_r||, [..., G]."""
        return jnp.sqrt(self.rejected_sq)

    @property
    def total_norm(self) -> Array:
        """||g_c + g_r||, [..., G]."""
        return jnp.sqrt(self.total_sq)

    @property
    def cosine(self) -> Array:
        """<g_c, g_r> / (||g_c|| ||g_r||), [..., G]; NaN where a part is 0."""
        return self.inner / (self.chosen_norm * self.rejected_norm)

    @property
    def share(self) -> Array:
        """<g_c, g_r> of the group over that of the whole, [..., G]; sums to 1."""
        return self.inner / jnp.sum(self.inner, axis=-1, keepdims=True)

    @property
    def cancellation(self) -> Array:
        """(||g_c|| + ||g_r||) / ||g_c + g_r||, [..., G]: 1 parallel, large opposed."""
        return (self.chosen_norm + self.rejected_norm) / self.total_norm

    @property
    def whole(self) -> "SideProducts":
        """The same for all parameters together: one group, "all"."""
        names = ("chosen_sq", "rejected_sq", "total_sq", "inner")
        sums = {name: getattr(self, name).sum(-1, keepdims=True) for name in names}
        return SideProducts(**sums, groups=("all",))


def side_gradients(
    loss: str | LossFn,
    logps_fn: PairLogpsFn,
    params: Params,
    pairs: PairLogps,
    *,
    batch_reduction: str = "mean",
    **hyper: Any,
) -> SideGradients:
    """The chosen-caused and the rejected-caused gradient of a loss over a batch.

    Args:
      loss: anything that `gradlab.losses.resolve` takes. A loss that couples the pairs
        is split too: its weights are those of the whole batch.
      logps_fn: params -> (chosen [B, T], rejected [B, T']), in nats.
      params: any pytree of float arrays.
      pairs: masks, reference and further inputs of the loss for this batch; its own
        `chosen` and `rejected` are not read.
      batch_reduction: "mean" over the B pairs, or "sum". A row that only fills up the
        batch counts as a pair.
      **hyper: the loss's hyperparameters.

    Returns:
      `SideGradients`.

    Raises:
      LossInputError: as `token_weights`.
      GradlabError: unknown `batch_reduction`.

    Guarantees:
      `chosen` + `rejected` is the gradient of the reduced loss. Works under `jax.jit`,
      which also makes it faster; costs one forward and one reverse pass for each side.

    Example:
      >>> def logps_fn(theta):  # one token a side; theta raises both
      ...     return -jnp.exp(-theta)[None, None], -jnp.exp(-theta)[None, None]
      >>> ones = jnp.ones((1, 1))
      >>> pairs = PairLogps(-ones, -ones, ones, ones, -ones, -ones)
      >>> sides = side_gradients("dpo", logps_fn, jnp.array(0.0), pairs, beta=0.1)
      >>> sides.chosen.round(3), sides.rejected.round(3)
      (Array(-0.05, dtype=float32), Array(0.05, dtype=float32))
    """
    (chosen, rejected), pull_chosen, pull_rejected = pullbacks(logps_fn, params)
    given = replace(pairs, chosen=chosen, rejected=rejected)
    values, weights = value_and_token_weights(loss, given, **hyper)
    scale = batch_scale(batch_reduction, values.shape[0])
    return SideGradients(
        values,
        pull_chosen((weights.chosen * scale).astype(chosen.dtype)),
        pull_rejected((weights.rejected * scale).astype(rejected.dtype)),
    )


def side_products(
    gradients: SideGradients, groups: Sequence[str] | None = None
) -> SideProducts:
    """Norms, inner product, cosine, share and cancellation for each parameter group.

    Args:
      gradients: from `side_gradients`.
      groups: one name per leaf, from `parameter_groups`; None: its default.

    Returns:
      `SideProducts` of [G] arrays, in float32 or wider.
    """
    if groups is None:
        groups = parameter_groups(gradients.chosen)
    chosen, rejected, total = gradients.chosen, gradients.rejected, gradients.total
    return SideProducts(
        group_inner(chosen, chosen, groups),
        group_inner(rejected, rejected, groups),
        group_inner(total, total, groups),
        group_inner(chosen, rejected, groups),
        group_names(groups),
    )


def batch_scale(batch_reduction: str, count: int) -> float:
    """The factor on each pair's gradient: 1/count for "mean", 1 for "sum"."""
    if batch_reduction not in ("mean", "sum"):
        raise GradlabError(
            f"batch_reduction is {batch_reduction!r}, expected 'mean' or 'sum'"
        )
    return 1 / count if batch_reduction == "mean" else 1.0


def pullbacks(
    logps_fn: PairLogpsFn, params: Params
) -> tuple[tuple[Array, Array], Pullback, Pullback]:
    """Token log-probs, and for each side the map from its weights w to J^T w.

    Both maps share one linearisation. Each visits its own side's operations only: a
    plain `jax.vjp` with zeros for the other side would walk through both.
    """
    try:
        logps, push = jax.linearize(logps_fn, params)
        return logps, _transposed(push, params, 0), _transposed(push, params, 1)
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
    # A kernel with a reverse rule alone: one vjp, with zeros for the other side.
    (chosen, rejected), pull = jax.vjp(logps_fn, params)
    return (
        (chosen, rejected),
        lambda weights: pull((weights, jnp.zeros_like(rejected)))[0],
        lambda weights: pull((jnp.zeros_like(chosen), weights))[0],
    )


def _transposed(push: Callable, params: Params, side: int) -> Pullback:
    transpose = jax.linear_transpose(lambda step: push(step)[side], params)
    return lambda weights: transpose(weights)[0]
