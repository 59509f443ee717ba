"""Effects over seeds: the t interval that decides, and the bootstrap beside it.

Seeds are the unit of replication. The hierarchical bootstrap resamples seeds and, in
each, prompts; with few seeds its percentile interval is too narrow (of nominal 95 % it
covers about 84 % at five seeds), which is why it decides nothing where there are seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from gradlab.errors import GradlabError

Statistic = Callable[[np.ndarray], np.ndarray]  # [draws, prompts, ...] -> [draws]
Samples = Sequence[Any]  # one array [prompts, ...] per seed, or one number per seed

LEVEL = 0.95
DRAWS = 10_000
_CHUNK = 500  # bootstrap draws held at once


@dataclass(frozen=True)
class Estimate:
    """An effect over seeds, with its uncertainty.

    Attributes:
      effect: mean over seeds.
      low: end of the Student-t interval; NaN with one seed.
      high: likewise.
      boot_low: end of the hierarchical bootstrap interval.
      boot_high: likewise.
      p: two-sided p-value of effect 0; NaN with one seed.
      sign_agreement: share of seeds whose effect has the sign of the mean.
      n_seeds: how many.
    """

    effect: float
    low: float
    high: float
    boot_low: float
    boot_high: float
    p: float
    sign_agreement: float
    n_seeds: int


def prompt_mean(values: np.ndarray) -> np.ndarray:
    """Mean over prompts: [draws, prompts] -> [draws]."""
    return values.mean(axis=1)


def rank_correlation(values: np.ndarray) -> np.ndarray:
    """Spearman's correlation of two columns, ties by their mean rank.

    Args:
      values: [draws, prompts, 2].

    Returns:
      [draws]; NaN where a column is constant.

    Example:
      >>> rank_correlation(np.array([[[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]]]))
      array([0.5])
    """
    ranks = [pd.DataFrame(values[..., k]).rank(axis=1).to_numpy() for k in (0, 1)]
    one, two = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    scale = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    return (one * two).sum(1) / np.where(scale > 0, scale, np.nan)


def estimate(
    samples: Samples,
    statistic: Statistic = prompt_mean,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """The mean effect over seeds with its t interval and hierarchical bootstrap.

    Args:
      samples: one entry per seed: an array [prompts, ...], or a number where the seed
        has one value only (the bootstrap then resamples seeds alone).
      statistic: [draws, prompts, ...] -> [draws], the effect of one seed.
      draws: of the bootstrap.
      seed: of the bootstrap.

    Returns:
      `Estimate`; NaN where the effect of a seed is NaN.

    Raises:
      GradlabError: no seed, or a seed without prompts.

    Example:
      >>> found = estimate([1.0, 2.0, 3.0])
      >>> found.effect, round(found.low, 3), found.sign_agreement
      (2.0, -0.484, 1.0)
    """
    arrays = [np.asarray(sample, float) for sample in samples]
    if not arrays or any(array.size == 0 for array in arrays):
        sizes = [len(np.atleast_1d(array)) for array in arrays]
        raise GradlabError(
            f"samples: {len(arrays)} seeds with {sizes} prompts, expected at least one "
            "seed and one prompt in each"
        )
    effects = np.array([_effect(array, statistic) for array in arrays])
    count, mean = len(effects), float(effects.mean())
    low = high = p = np.nan
    if count > 1:
        error = effects.std(ddof=1) / np.sqrt(count)
        half = stdtrit(count - 1, (1 + LEVEL) / 2) * error
        low, high = mean - half, mean + half
        ratio = abs(mean) / error if error > 0 else (np.inf if mean else 0.0)
        p = float(2 * stdtr(count - 1, -ratio)) if np.isfinite(mean) else np.nan
    tails = (np.nan, np.nan)
    if np.isfinite(mean):
        means = _bootstrap(arrays, effects, statistic, draws, seed)
        tails = np.nanquantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    same = float(np.mean(np.sign(effects) == np.sign(mean)))
    return Estimate(
        effect=mean,
        low=float(low),
        high=float(high),
        boot_low=float(tails[0]),
        boot_high=float(tails[1]),
        p=p,
        sign_agreement=same,
        n_seeds=count,
    )


def _effect(array: np.ndarray, statistic: Statistic) -> float:
    return float(array) if array.ndim == 0 else float(statistic(array[None])[0])


def _bootstrap(arrays, effects, statistic: Statistic, draws: int, seed: int):
    """[draws] means over resampled seeds of the effect of resampled prompts."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(arrays), size=(draws, len(arrays)))
    values = np.empty(picks.shape)
    for number, array in enumerate(arrays):
        places = np.flatnonzero(picks == number)
        if array.ndim == 0 or len(array) == 1:
            values.flat[places] = effects[number]
            continue
        for part in np.array_split(places, max(1, -(-len(places) // _CHUNK))):
            prompts = rng.integers(len(array), size=(len(part), len(array)))
            values.flat[part] = statistic(array[prompts])
    # NaN where a resample holds one prompt over and over: that draw says nothing.
    return values.mean(axis=1)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values; NaN stays NaN and counts for nothing.

    Example:
      >>> holm(np.array([0.01, 0.04, np.nan, 0.03]))
      array([0.03, 0.06,  nan, 0.06])
    """
    result = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return result
