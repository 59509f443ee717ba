"""The drifts of one response out of a tokens table, and which of its tokens fall."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradlab.plotting.pairs import window

DRIFT_COLUMNS = ("predicted", "by_chosen", "by_rejected")
CAUSES = ("by_chosen", "by_rejected", "carried")
MARKED = 3  # tokens named as those that fall most


@dataclass(frozen=True)
class TokenDrifts:
    """First-order drift of the tokens of one response by cause, nats; NaN: unknown.

    Attributes:
      net: [T] the whole predicted drift.
      causes: name -> [T], those that are known; they add up to `net`.
      realised: [T] what the step really did.
    """

    net: np.ndarray
    causes: dict[str, np.ndarray]
    realised: np.ndarray


def token_drifts(rows: pd.DataFrame) -> TokenDrifts:
    """The drifts of one response in the order of its tokens.

    Args:
      rows: of one loss, pair and side of a tokens table.
    """
    rows = rows.sort_values("position", kind="stable")

    def column(name: str) -> np.ndarray:
        values = np.full(len(rows), np.nan)
        if name in rows.columns:
            values = rows[name].to_numpy(float)
        return np.where(np.isfinite(values), values, np.nan)

    causes = {name: column(name) for name in CAUSES}
    if all(np.isnan(causes[name]).all() for name in ("by_chosen", "by_rejected")):
        causes = {}
    elif not np.nan_to_num(causes["carried"]).any():
        del causes["carried"]  # plain gradient descent carries nothing
    return TokenDrifts(column("predicted"), causes, column("realised"))


def fall_window(net: np.ndarray, first: int | None, most: int) -> slice:
    """Which tokens to show: the stretch of `most` whose falls add up to most.

    Args:
      net: [T] drifts, nats.
      first: index of the first difference, around which a response is shown of which no
        token falls.
      most: tokens shown at most.
    """
    if len(net) <= most:
        return slice(0, len(net))
    falls = np.minimum(np.nan_to_num(net), 0)
    if not falls.any():
        return window(len(net), first, most)
    ends = np.concatenate([[0.0], np.cumsum(falls)])
    start = int(np.argmin(ends[most:] - ends[:-most]))
    return slice(start, start + most)


def falling_tokens(net: np.ndarray, most: int = MARKED) -> list[int]:
    """Indices of the tokens that fall most, the lowest first.

    Those that fall by less than a tenth of the lowest are left out.
    """
    known = np.nan_to_num(net)
    bar = min(float(known.min(initial=0.0)) / 10, -np.finfo(float).tiny)
    return [int(i) for i in np.argsort(known, kind="stable")[:most] if known[i] <= bar]
