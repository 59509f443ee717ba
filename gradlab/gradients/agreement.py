"""How well predicted drift agrees with realised drift, and in which order it errs.

With d the predicted and r the realised drift of the tokens, in nats,

    relative error = ||r - d|| / ||r||        slope = sum(d r) / sum(d^2)
    r(s u) - d(s u) = O(s^2) for a step s u   the error of the mean of the predictions
                                              at both ends of the step is O(s^3)

The floor of a comparison is the rounding of log-probabilities, |l| eps / 2 at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.drift import apply_step, predicted_drift, realised_drift
from gradlab.types import Array, Params

FLOOR_RATIO = 10.0  # below it, realised drift is mostly rounding


@dataclass(frozen=True)
class Agreement:
    """Predicted against realised drift over tokens (or sequences).

    Attributes:
      pearson: correlation.
      spearman: rank correlation, ties at their mean rank.
      relative_error: ||realised - predicted|| / ||realised||.
      sign: share of equal signs where |realised| exceeds the floor; NaN if nowhere.
      slope: calibration through the origin, sum(pred * real) / sum(pred^2).
      explained: share of the variance of realised drift explained by the prediction.
      below_floor: whether the median of |realised| / floor is under `FLOOR_RATIO`.
      tokens: number of entries compared.
    """

    pearson: float
    spearman: float
    relative_error: float
    sign: float
    slope: float
    explained: float
    below_floor: bool
    tokens: int


def agreement(
    predicted: Any, realised: Any, mask: Any = None, floor: Any = 0.0
) -> Agreement:
    """Agreement of two drifts on the same tokens.

    Args:
      predicted: array or pytree, for instance (chosen [B, T], rejected [B, T']), nats.
      realised: the same structure, in nats.
      mask: the same structure, set where a token is real; None: everywhere.
      floor: rounding of the realised drift: a scalar, or the same structure, from
        `measurement_floor`.

    Returns:
      `Agreement`. Correlations of a constant are NaN.

    Raises:
      GradlabError: structures or shapes differ, or no token is left.

    Example:
      >>> agreement(jnp.array([1.0, 2.0]), jnp.array([2.0, 4.0])).slope
      2.0
    """
    pred, real = _flat(predicted, "predicted"), _flat(realised, "realised")
    kept = jnp.ones(pred.shape, bool) if mask is None else _flat(mask, "mask") > 0
    limit = jnp.broadcast_to(floor, pred.shape) if _is_number(floor) else _flat(floor)
    sizes = {x.shape for x in (pred, real, kept, limit)}
    if len(sizes) > 1:
        raise GradlabError(
            f"predicted has {pred.size} entries, realised {real.size}, mask "
            f"{kept.size}, floor {limit.size}; expected the same tokens in all"
        )
    pred, real, limit = pred[kept], real[kept], limit[kept]
    if not pred.size:
        raise GradlabError("mask: no token is left to compare")
    residual, size = real - pred, jnp.abs(real)
    clear = size > limit
    same = jnp.where(clear, jnp.sign(pred) == jnp.sign(real), False)
    return Agreement(
        pearson=_pearson(pred, real),
        spearman=_pearson(_ranks(pred), _ranks(real)),
        relative_error=float(_norm(residual) / _norm(real)),
        sign=float(jnp.sum(same) / jnp.sum(clear)),
        slope=float(jnp.sum(pred * real) / jnp.sum(pred**2)),
        explained=float(1 - _norm(residual) ** 2 / _norm(real - real.mean()) ** 2),
        below_floor=bool(jnp.median(size) < FLOOR_RATIO * jnp.median(limit)),
        tokens=pred.size,
    )


def measurement_floor(evaluations: Any) -> Any:
    """The rounding of token log-probs, measured over repeated evaluations.

    Args:
      evaluations: array or pytree of arrays [R, ...]: R evaluations of the same
        log-probs at other paddings or chunkings.

    Returns:
      Standard deviation over the R evaluations [...], in nats; at least the half unit
      in the last place |l| eps / 2 that any log-prob has.
    """

    def one(values: Array) -> Array:
        least = jnp.abs(values.mean(0)) * jnp.finfo(values.dtype).eps / 2
        return jnp.maximum(jnp.std(values, axis=0), least)

    return jax.tree.map(one, evaluations)


@dataclass(frozen=True)
class OrderTest:
    """Relative error of the predictions at shrinking step sizes.

    Attributes:
      scales: [K] factors on the direction.
      linear: [K] ||realised - predicted|| / ||realised||.
      trapezoid: [K] the same for the mean of the predictions at both ends.
      linear_slope: fitted slope of log error over log scale; 1 in the limit.
      trapezoid_slope: 2 in the limit.
    """

    scales: list[float]
    linear: list[float]
    trapezoid: list[float]
    linear_slope: float
    trapezoid_slope: float


def order_test(
    logps_fn: Any, params: Params, direction: Params, scales: Sequence[float]
) -> OrderTest:
    """The error of predicted drift along a fixed direction, step size by step size.

    The direction stays fixed, so only the log-probs need to be smooth, not the loss.
    Steps so small that rounding shows flatten the slopes: use float64.

    Args:
      logps_fn: params -> token log-probs.
      params: the parameters before the step.
      direction: the parameter change at scale 1.
      scales: at least two positive factors, for instance 2.0 ** -k.

    Returns:
      `OrderTest`.

    Raises:
      GradlabError: fewer than two scales, or one that is not positive.
    """
    if len(scales) < 2 or min(scales) <= 0:
        raise GradlabError(f"scales: {list(scales)}, expected two or more, positive")

    @jax.jit
    def errors(scale: Array) -> tuple[Array, Array]:
        step = jax.tree.map(lambda u: (scale * u).astype(u.dtype), direction)
        real = _flat(realised_drift(logps_fn, params, step))
        here = _flat(predicted_drift(logps_fn, params, step))
        there = _flat(predicted_drift(logps_fn, apply_step(params, step), step))
        size = _norm(real)
        return _norm(real - here) / size, _norm(real - (here + there) / 2) / size

    rows = [tuple(float(e) for e in errors(jnp.asarray(scale))) for scale in scales]
    linear, trapezoid = [row[0] for row in rows], [row[1] for row in rows]
    slopes = [_slope(scales, values) for values in (linear, trapezoid)]
    return OrderTest([float(s) for s in scales], linear, trapezoid, *slopes)


def _slope(scales: Sequence[float], errors: Sequence[float]) -> float:
    x, y = jnp.log(jnp.asarray(scales)), jnp.log(jnp.asarray(errors))
    x = x - x.mean()
    return float(jnp.sum(x * y) / jnp.sum(x * x))


def _pearson(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(jnp.sum(x * y) / (_norm(x) * _norm(y)))


def _ranks(x: Array) -> Array:
    ordered = jnp.sort(x)
    left = jnp.searchsorted(ordered, x, side="left")
    right = jnp.searchsorted(ordered, x, side="right")
    return (left + right).astype(x.dtype) / 2


def _norm(x: Array) -> Array:
    # Scaled, so that squares of tiny float32 drifts don't underflow.
    largest = jnp.max(jnp.abs(x))
    safe = jnp.where(largest > 0, largest, 1)
    return largest * jnp.sqrt(jnp.sum((x / safe) ** 2))


def _is_number(value: Any) -> bool:
    return jnp.ndim(value) == 0 if not isinstance(value, (tuple, list, dict)) else False


def _flat(tree: Any, name: str = "drift") -> Array:
    leaves = [jnp.ravel(jnp.asarray(leaf)) for leaf in jax.tree.leaves(tree)]
    if not leaves:
        raise GradlabError(f"{name}: holds no array")
    return jnp.concatenate(leaves)
