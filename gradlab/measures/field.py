"""The gradient field of a pairwise loss over the two responses' likelihood ratios.

With h = log(pi / pi_ref) of a response and x = e^h its likelihood ratio,

    dL/dx = (dL/dh) / x

so that any loss has two fields: in log coordinates (h_c, h_r), where a plain margin
loss pushes both sides alike, and in ratio coordinates (x_c, x_r), where the same loss
seems to act x_r / x_c times harder on the chosen side. The asymmetry belongs to the
coordinates; it says nothing about parameters without a model of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import contourpy
import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import GradlabError
from gradlab.losses.resolve import resolve
from gradlab.types import Array, LossFn, PairLogps

LOG_SPAN = math.log(1e3)  # the grid runs from a ratio of 1e-3 to 1e3


@dataclass(frozen=True)
class NullLine:
    """A line along which one component of the gradient changes its sign.

    Attributes:
      side: "chosen": dL/dh_c = 0 there; "rejected": dL/dh_r = 0.
      points: [n, 2] (h_c, h_r) along the line, in nats.
    """

    side: str
    points: np.ndarray


@dataclass(frozen=True)
class GradientField:
    """A loss and its gradient on a grid; index [i, j] is at (chosen[i], rejected[j]).

    Attributes:
      label: name of the loss.
      chosen: [n] h_c, log-ratio of the chosen response, in nats.
      rejected: [m] h_r.
      value: [n, m] loss.
      log_gradient: [n, m, 2] (dL/dh_c, dL/dh_r), loss per nat.
      ratio_gradient: [n, m, 2] (dL/dx_c, dL/dx_r), loss per unit of likelihood ratio.
      null_lines: where a component changes its sign, the same in both coordinates.
    """

    label: str
    chosen: np.ndarray
    rejected: np.ndarray
    value: np.ndarray
    log_gradient: np.ndarray
    ratio_gradient: np.ndarray
    null_lines: tuple[NullLine, ...]

    def columns(self) -> Mapping[str, np.ndarray]:
        """The grid as columns of a tidy table, one row per point."""
        h_c, h_r = np.meshgrid(self.chosen, self.rejected, indexing="ij")
        return {
            "loss": np.full(h_c.size, self.label),
            "h_chosen": h_c.ravel(),
            "h_rejected": h_r.ravel(),
            "value": self.value.ravel(),
            "d_h_chosen": self.log_gradient[..., 0].ravel(),
            "d_h_rejected": self.log_gradient[..., 1].ravel(),
            "d_x_chosen": self.ratio_gradient[..., 0].ravel(),
            "d_x_rejected": self.ratio_gradient[..., 1].ravel(),
        }

    def null_columns(self) -> Mapping[str, np.ndarray]:
        """The null lines as columns of a tidy table, one row per vertex."""
        lines = self.null_lines
        points = np.concatenate([line.points for line in lines] or [np.zeros((0, 2))])
        lengths = [len(line.points) for line in lines]
        sides = np.array([line.side for line in lines], dtype=str)
        return {
            "loss": np.full(len(points), self.label),
            "side": np.repeat(sides, lengths),
            "line": np.repeat(np.arange(len(lines)), lengths),
            "h_chosen": points[:, 0],
            "h_rejected": points[:, 1],
        }


def gradient_field(
    loss: str | LossFn,
    *,
    span: float = LOG_SPAN,
    points: int = 25,
    ref_logps: tuple[float, float] = (-20.0, -20.0),
    lengths: tuple[int, int] = (1, 1),
    **hyper,
) -> GradientField:
    """The field of a loss over the log-ratios of both responses.

    Args:
      loss: anything `resolve` takes.
      span: the grid runs from -span to span on both axes, in nats.
      points: per axis, at least 2.
      ref_logps: (R_c, R_r), summed reference log-probabilities, in nats. They matter to
        losses that read the log-probabilities themselves. Both plus span must be < 0.
      lengths: tokens of each response; its log-probability is spread evenly over them.
      **hyper: the loss's hyperparameters.

    Returns:
      `GradientField`.

    Raises:
      GradlabError: a grid of no points, or log-probabilities that would be positive.

    Example:
      >>> field = gradient_field("ipo", tau=0.5, points=5)  # its target: h_c - h_r = 1
      >>> line = field.null_lines[0].points
      >>> np.round(line[:, 0] - line[:, 1], 6).tolist()[:3]
      [1.0, 1.0, 1.0]

    References:
      Feng et al., Towards Analyzing and Understanding the Limitations of DPO: A
      Theoretical Perspective, arXiv:2404.04626.
    """
    if max(ref_logps) + span >= 0:
        raise GradlabError(
            f"ref_logps={ref_logps} with span={span:.4g} gives log-probabilities up to "
            f"{max(ref_logps) + span:.4g}; expected numbers below {-span:.4g} nats"
        )
    bound = resolve(loss, **hyper)

    def value(h_c: Array, h_r: Array) -> Array:
        return bound(_evenly_spread((h_c, h_r), ref_logps, lengths))

    return function_field(value, label=bound.label, span=span, points=points)


def _evenly_spread(ratios, ref_logps, lengths) -> PairLogps:
    sides = []
    for ratio, ref, length in zip(ratios, ref_logps, lengths, strict=True):
        ones = jnp.ones((len(ratio), length), ratio.dtype)
        sides.append(
            ((ratio + ref)[:, None] / length * ones, ref / length * ones, ones)
        )
    (chosen, ref_c, mask_c), (rejected, ref_r, mask_r) = sides
    return PairLogps(chosen, rejected, mask_c, mask_r, ref_c, ref_r)


def function_field(
    function: Callable[[Array, Array], Array],
    *,
    label: str = "loss",
    span: float = LOG_SPAN,
    points: int = 25,
) -> GradientField:
    """The field of any function of the two log-ratios.

    Args:
      function: (h_c [K], h_r [K]) -> [K], each entry a function of its own two numbers.
      label: its name in tables.
      span: the grid runs from -span to span on both axes, in nats.
      points: per axis, at least 2.

    Returns:
      `GradientField`.
    """
    if points < 2 or not span > 0:
        raise GradlabError(
            f"points={points}, span={span}; expected at least 2 points and span > 0"
        )
    axis = np.linspace(-span, span, points)
    h_c, h_r = (jnp.asarray(x.ravel()) for x in np.meshgrid(axis, axis, indexing="ij"))

    def total(h_c: Array, h_r: Array) -> tuple[Array, Array]:
        values = function(h_c, h_r)
        return jnp.sum(values), values

    grads, values = jax.grad(total, argnums=(0, 1), has_aux=True)(h_c, h_r)
    shape = (points, points)
    log_gradient = np.stack([np.asarray(g).reshape(shape) for g in grads], axis=-1)
    ratios = np.exp(np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1))
    return GradientField(
        label=label,
        chosen=axis,
        rejected=axis,
        value=np.asarray(values).reshape(shape),
        log_gradient=log_gradient,
        ratio_gradient=log_gradient / ratios,
        null_lines=tuple(
            NullLine(side, points)
            for k, side in enumerate(("chosen", "rejected"))
            for points in null_lines(axis, axis, log_gradient[..., k])
        ),
    )


def null_lines(
    chosen: np.ndarray, rejected: np.ndarray, component: np.ndarray
) -> list[np.ndarray]:
    """Lines along which a component on a grid changes its sign.

    Args:
      chosen: [n] h_c.
      rejected: [m] h_r.
      component: [n, m], linear between grid points.

    Returns:
      Polylines [k, 2] of (h_c, h_r). None where the component keeps its sign, even if
      it is 0 in a region (a hinge beyond its margin).
    """
    values = np.asarray(component, float)
    if not (values.min() < 0 < values.max()):
        return []
    lines = contourpy.contour_generator(rejected, chosen, values).lines(0.0)
    return [np.asarray(line)[:, ::-1] for line in lines]  # contourpy gives (x, y)
