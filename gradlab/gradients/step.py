"""One optimiser step, split into what the chosen and the rejected tokens cause.

    u = u_c + u_r + u_m + u_d        chosen, rejected, momentum, weight decay

The total is the optimiser's own update. The parts come from the optimiser as well, and
not from a copy of its formulas: with every second moment held at its new value (the
denominators frozen where this step put them) an update is an affine map of the
gradient, and one derivative at gradient 0 gives its linear part. That the parts add up
to the optimiser's update is checked each time, so what isn't affine is refused.

Frozen denominators are a convention: they depend on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.groups import tree_inner, tree_norm
from gradlab.gradients.sides import SideGradients
from gradlab.types import Array, Params

MAX_CANCELLATION = 1e3  # above it, float32 parts have lost half of their digits


class Optimiser(Protocol):
    """What an optax transformation offers; nothing else of optax is used."""

    def update(self, updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """(gradient, state, params) -> (change of the parameters, new state)."""
        ...


@dataclass(frozen=True)
class StepSplit:
    """A parameter change and its parts, each like params.

    Attributes:
      total: the optimiser's own update.
      state: the optimiser's state after it.
      chosen: caused by the chosen tokens' gradient; None where undivided.
      rejected: caused by the rejected tokens' gradient.
      momentum: carried over from earlier steps.
      decay: weight decay.
      clip_factor: f <= 1 that clipping by the global norm put on the gradient.
      cancellation: (||u_c|| + ||u_r||) / ||u||.
      response: gradient -> its part of the step: linear, clipping and frozen
        denominators included; `chosen` is response(g_c).
      undivided: why there are no parts; None where there are.
    """

    total: Params
    state: Any
    chosen: Params | None = None
    rejected: Params | None = None
    momentum: Params | None = None
    decay: Params | None = None
    clip_factor: float = 1.0
    cancellation: float = float("nan")
    response: Callable[[Params], Params] | None = None
    undivided: str | None = None

    @property
    def parts(self) -> dict[str, Params]:
        """The parts by name, in the order c, r, m, d; empty where undivided."""
        names = ("chosen", "rejected", "momentum", "decay")
        return {} if self.undivided else {name: getattr(self, name) for name in names}


def split_step(
    optimiser: Optimiser,
    state: Any,
    params: Params,
    gradients: SideGradients,
    *,
    undivided: str = "raise",
) -> StepSplit:
    """The optimiser's update on these gradients, and its parts.

    Formula (rate eta, clip factor f, step k, v the second moment after the step):
        SGD           u_c = -eta f g_c,  u_m = -eta mu buffer
        RMSprop       u_c = -eta f g_c / (sqrt(v_k) + eps)
        Adam, AdamW   u_c = -eta (1-b1) f g_c / (1-b1^k) / (sqrt(v_k/(1-b2^k)) + eps)
                      u_m = -eta b1 m_{k-1} / (1-b1^k) / (...),  u_d = -eta wd theta

    Args:
      optimiser: any optax transformation: schedules, chains, masks and clipping by the
        global norm included.
      state: its real state before the step.
      params: the parameters before the step.
      gradients: from `side_gradients`, with the reduction that the training uses.
      undivided: what to do where no split exists: "raise", or "keep" the total and the
        reason. No split exists where the update isn't affine in the gradient (signs,
        trust ratios, factored moments) and, in float32, where the parts cancel more
        than `MAX_CANCELLATION`-fold.

    Returns:
      `StepSplit`.

    Raises:
      GradlabError: no split and `undivided="raise"`.

    Guarantees:
      The parts add up to the optimiser's update within rounding. Not for use under
      `jax.jit`: the checks need numbers.
    """
    if undivided not in ("raise", "keep"):
        raise GradlabError(f"undivided is {undivided!r}, expected 'raise' or 'keep'")
    total, new_state = optimiser.update(gradients.total, state, params)
    split = _split(optimiser, state, params, gradients, total, new_state)
    if split.undivided and undivided == "raise":
        raise GradlabError(
            f"the step can't be split: {split.undivided}; give undivided='keep' for "
            "the total alone"
        )
    return split


def _split(optimiser, state, params, gradients, total, new_state) -> StepSplit:
    frozen = _frozen_state(optimiser, state, params, new_state)
    nothing = jax.tree.map(jnp.zeros_like, params)

    def update(gradient: Params, at: Params = params) -> Params:
        return optimiser.update(gradient, frozen, at)[0]

    def linear(gradient: Params) -> Params:
        return jax.jvp(update, (nothing,), (gradient,))[1]

    carried, momentum = update(nothing), update(nothing, nothing)
    decay = jax.tree.map(jnp.subtract, carried, momentum)
    moved = jax.tree.map(jnp.subtract, total, carried)
    factor = _clip_factor(moved, linear(gradients.total), _precision(params))

    def response(gradient: Params) -> Params:
        return jax.tree.map(lambda leaf: factor * leaf, linear(gradient))

    chosen, rejected = response(gradients.chosen), response(gradients.rejected)
    sizes = float(tree_norm(chosen) + tree_norm(rejected))
    cancellation = sizes / float(tree_norm(total)) if sizes else 1.0
    parts = (chosen, rejected, momentum, decay)
    reason = _refusal(parts, total, factor, cancellation, _precision(params))
    if reason:
        return StepSplit(total, new_state, undivided=reason, cancellation=cancellation)
    return StepSplit(total, new_state, *parts, float(factor), cancellation, response)


def _refusal(parts, total, factor, cancellation, precision) -> str | None:
    """Why the parts can't stand for the total, or None."""
    error = jax.tree.map(lambda u, *p: u - sum(p), total, *parts)
    size = float(tree_norm(total)) + sum(float(tree_norm(part)) for part in parts)
    gap = float(tree_norm(error))
    if not (gap <= 64 * precision * size and 0 <= factor <= 1 + 64 * precision):
        return (
            "with its second moments held fixed, the optimiser's update is no affine "
            f"map of the gradient (the parts miss it by {gap:.2g}, the sizes add up to "
            f"{size:.2g})"
        )
    if cancellation > MAX_CANCELLATION and precision > 1e-10:
        return (
            f"the parts are {cancellation:.3g} times their sum, more than "
            f"{MAX_CANCELLATION:g}, and cancel beyond the precision of the parameters; "
            "use float64, or a later step, when the second moments have warmed up"
        )
    return None


def _clip_factor(moved: Params, unclipped: Params, precision: float) -> Array:
    """The scalar f with moved = f * unclipped, in the sense of least squares."""
    size = tree_inner(unclipped, unclipped)
    factor = jnp.where(size > 0, tree_inner(moved, unclipped) / size, 1.0)
    # Without clipping f is 1 but for rounding, which is not to enter the parts.
    return jnp.where(jnp.abs(factor - 1) <= 64 * precision, 1.0, factor)


def _frozen_state(optimiser, state, params, new_state):
    """The state from which a step with gradient 0 reaches the new second moments.

    A second moment moves as v' = b v + (1 - b) g^2, so from v_new / b and at g = 0 the
    step gives v_new, with derivative 0: the denominators are the actual ones, and
    constant. The decay b is read off a step from v = 1 with g = 0.
    """
    nothing = jax.tree.map(jnp.zeros_like, params)
    ones = _with_moments(state, lambda v: jnp.ones_like(v), state)
    decays = optimiser.update(nothing, ones, params)[1]

    def undo(new: Array, decay: Array) -> Array:
        # Exactly 0 would make the derivative of the square root infinite.
        new = jnp.where(new == 0, jnp.finfo(new.dtype).tiny, new)
        return new / decay

    return _with_moments(state, undo, new_state, decays)


def _with_moments(state: Any, function: Callable, *sources: Any) -> Any:
    """The state with each second moment `nu` replaced by function of the sources'."""

    def swap(node: Any, *others: Any) -> Any:
        if not _has_moment(node):
            return node
        moments = [other.nu for other in others]
        return node._replace(nu=jax.tree.map(function, *moments))

    return jax.tree.map(swap, state, *sources, is_leaf=_has_moment)


def _has_moment(node: Any) -> bool:
    """Whether it is a state such as optax's ScaleByAdamState or ScaleByRmsState."""
    return hasattr(node, "_replace") and "nu" in getattr(node, "_fields", ())


def _precision(params: Params) -> float:
    return max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(params))
