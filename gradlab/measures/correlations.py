"""Correlations of many draws at once, in the form that a bootstrap resamples them.

Every function takes [draws, pairs, ...] and returns [draws], as a statistic of
`gradlab.tables.estimate` does.
"""

import numpy as np
from scipy.stats import rankdata

_SINGULAR = 1e-10  # of a correlation matrix whose columns are collinear


def partial_rank_correlation(values: np.ndarray) -> np.ndarray:
    """Spearman's correlation of two columns given the others.

    Formula:
        -P_01 / sqrt(P_00 P_11), P the inverse of the ranks' correlation matrix; ties
        get their mean rank. With two columns this is Spearman's correlation.

    Args:
      values: [draws, pairs, columns]; the first two columns are correlated, the others
        held constant.

    Returns:
      [draws]; NaN where a column is constant or follows from the others.

    Example:
      Two columns that agree only in what they share with the third:
      >>> z = np.arange(8.0)
      >>> x, y = z + [2, -2] * 4, z + [2, 2, -2, -2] * 2
      >>> bool(partial_rank_correlation(np.stack([x, y], -1)[None])[0] > 0.4)
      True
      >>> bool(partial_rank_correlation(np.stack([x, y, z], -1)[None])[0] < 0.4)
      True
    """
    ranks = rankdata(values, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    scaled = ranks / np.where(size > 0, size, np.nan)
    table = np.einsum("dpi,dpj->dij", scaled, scaled)
    good = np.isfinite(table).all(axis=(1, 2))
    good &= np.linalg.det(np.where(good[:, None, None], table, 0.0)) > _SINGULAR
    if values.shape[-1] == 2:  # needs no inverse, and may be exactly 1
        return table[:, 0, 1]
    found = np.full(len(table), np.nan)
    inverse = np.linalg.inv(table[good])
    scale = np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
    found[good] = -inverse[:, 0, 1] / scale
    return found


def length_r_squared(values: np.ndarray) -> np.ndarray:
    """Share of the rewards' variance within prompts that length explains.

    Formula:
        R^2 = (sum r L)^2 / (sum r^2  sum L^2), r and L less their prompt's means

    Args:
      values: [draws, prompts, responses, 2] rewards and lengths; the two sides of a
        pair are two responses to a prompt.

    Returns:
      [draws] from 0 to 1; NaN where rewards or lengths are constant within prompts.

    Example:
      >>> rewards, lengths = [[1.0, 0.0], [0.0, 3.0]], [[5, 2], [1, 10]]
      >>> length_r_squared(np.stack([rewards, lengths], -1)[None])
      array([1.])
    """
    centred = values - values.mean(axis=2, keepdims=True)
    reward, length = centred[..., 0], centred[..., 1]
    both = (reward * length).sum(axis=(1, 2))
    scale = (reward**2).sum(axis=(1, 2)) * (length**2).sum(axis=(1, 2))
    return both**2 / np.where(scale > 0, scale, np.nan)
