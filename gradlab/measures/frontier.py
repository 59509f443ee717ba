"""Paths of a loss over its strength: what is gained at which cost.

A path is the points (cost_k, gain_k) of one loss at several strengths; between two
neighbours in cost,

    gain(c) = gain_k + (gain_{k+1} - gain_k) (c - cost_k) / (cost_{k+1} - cost_k)
"""

import numpy as np

from gradlab.errors import GradlabError


def at_level(cost: np.ndarray, gain: np.ndarray, level: float) -> float:
    """The gain of a path at a cost, linear between its points.

    Args:
      cost: [n] such as the KL to the reference.
      gain: [n] such as a score.
      level: of the cost.

    Returns:
      NaN where the path doesn't reach the level, and where n is 0.

    Raises:
      GradlabError: arrays of unequal length.

    Example:
      >>> at_level(np.array([2.0, 0.0]), np.array([1.0, 0.0]), 0.5)
      0.25
    """
    cost, gain = np.asarray(cost, float), np.asarray(gain, float)
    if cost.shape != gain.shape:
        raise GradlabError(
            f"cost has shape {cost.shape} and gain {gain.shape}; expected the same"
        )
    if not cost.size or not cost.min() <= level <= cost.max():
        return float("nan")
    order = np.argsort(cost, kind="stable")
    return float(np.interp(level, cost[order], gain[order]))


def shared_levels(*costs: np.ndarray, count: int = 5) -> np.ndarray:
    """Levels inside the range that all paths reach, [count]; none if there is none."""
    low = max(float(np.min(cost)) for cost in costs)
    high = min(float(np.max(cost)) for cost in costs)
    if low >= high:
        return np.zeros(0)
    return np.linspace(low, high, count + 2)[1:-1]
