"""Taking one pair out of a tokens table, and choosing a pair that is worth showing.

A tokens table has one row per pair, side, position and loss, with the columns `pair,
side, position, token, region, loss, weight` and others; see `TOKEN_COLUMNS`.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.tables import require_columns, select

Side = Literal["chosen", "rejected"]
SIDES: tuple[Side, Side] = ("chosen", "rejected")
TOKEN_COLUMNS = ("pair", "side", "position", "token", "region", "loss", "weight")
FIGURE_PAIRS = 200  # whose tokens a run's figures show: many, not all of them
READABLE = 48  # tokens of the longer side that still read well in a figure


@dataclass(frozen=True)
class SideTokens:
    """One response and the weights that several losses give to its tokens.

    Attributes:
      texts: T token texts, as they are.
      weights: [losses, T] dL/dlogp, loss per nat.
      first: index of the first token that differs from the other side, or None when
        this response is a prefix of the other.
    """

    texts: list[str]
    weights: np.ndarray
    first: int | None


def unique(table: pd.DataFrame, column: str) -> list[Any]:
    """The values of a column in order of appearance."""
    return list(dict.fromkeys(np.asarray(table[column]).tolist()))


def loss_names(table: pd.DataFrame, losses: Sequence[str] | None = None) -> list[str]:
    """The losses of a table in order of appearance, or `losses` when it has them all.

    Raises:
      GradlabError: a name that the table lacks; the message gives the near misses.
    """
    known = list(map(str, unique(table, "loss")))
    for loss in losses or ():
        if loss not in known:
            near = difflib.get_close_matches(loss, known) or known
            raise GradlabError(
                f"no loss {loss!r} in the table; it has {', '.join(near)}"
            )
    return list(losses) if losses is not None else known


def side_tokens(tokens: pd.DataFrame, side: str, losses: Sequence[str]) -> SideTokens:
    """One side of one pair.

    Args:
      tokens: the rows of one pair in the tokens table.
      side: "chosen" or "rejected".
      losses: the rows of `weights`, in this order.
    Raises:
      GradlabError: rows of several pairs, a side without tokens, or a loss that lacks
        some of them.
    """
    require_columns(tokens, TOKEN_COLUMNS, "the tokens table")
    if side not in SIDES:
        raise GradlabError(f"side is 'chosen' or 'rejected', found {side!r}")
    pairs = unique(tokens, "pair")
    if len(pairs) != 1:
        raise GradlabError(
            f"one pair can be drawn, found the rows of {len(pairs)} pairs"
        )
    rows = select(tokens, side=side).sort_values("position", kind="stable")
    base = select(rows, loss=losses[0])
    if base.empty:
        raise GradlabError(f"pair {pairs[0]} has no {side} tokens for {losses[0]!r}")
    weights = []
    for loss in losses:
        own = select(rows, loss=loss)
        if not np.array_equal(own["position"], base["position"]):
            raise GradlabError(f"{loss!r} lacks some {side} tokens of pair {pairs[0]}")
        weights.append(np.asarray(own["weight"], float))
    first = np.flatnonzero(np.asarray(base["region"], str) == "first")
    return SideTokens(
        [str(text) for text in base["token"]],
        np.stack(weights),
        int(first[0]) if first.size else None,
    )


def window(length: int, first: int | None, most: int) -> slice:
    """Which of `length` tokens to show: `most` at most, with the first difference.

    A quarter of the window lies before the difference, unless an end is nearer.
    """
    if length <= most:
        return slice(0, length)
    start = min(max((first or 0) - most // 4, 0), length - most)
    return slice(start, start + most)


def example_pair(tokens: pd.DataFrame, *, longest: int = READABLE) -> int:
    """The pair that is most typical among those short enough to be read.

    Among the pairs whose longer side has at most `longest` tokens (or, when there are
    none, the shortest twentieth) it is the one nearest to the medians of length and of
    the share of tokens that differ; the first one on a tie.

    Args:
      tokens: a tokens table of any number of pairs.
      longest: tokens of the longer side.
    """
    require_columns(tokens, TOKEN_COLUMNS, "the tokens table")
    one = select(tokens, loss=unique(tokens, "loss")[0])
    shape = pd.DataFrame(
        {
            "pair": one["pair"],
            "side": one["side"],
            "differs": np.isin(np.asarray(one["region"], str), ["first", "middle"]),
        }
    )
    sides = shape.groupby(["pair", "side"], observed=True).agg(
        length=("differs", "size"), differing=("differs", "sum")
    )
    pairs = sides.groupby("pair").agg(
        length=("length", "max"),
        total=("length", "sum"),
        differing=("differing", "sum"),
    )
    length = pairs["length"].to_numpy(float)
    share = (pairs["differing"] / pairs["total"]).to_numpy(float)
    short = length <= longest
    if not short.any():
        short = length <= np.quantile(length, 0.05)
    distance = np.zeros(len(pairs))
    for values in (length, share):
        spread = np.std(values[short]) + 1e-9
        distance += np.abs(values - np.median(values[short])) / spread
    return int(pairs.index[np.argmin(np.where(short, distance, np.inf))])


def contrasting_losses(
    tokens: pd.DataFrame, losses: Sequence[str], most: int
) -> list[str]:
    """Up to `most` losses whose weights on one pair are least alike, in given order.

    Greedy: the first loss, then each time the one whose direction (cosine) is farthest
    from all that were taken.
    """
    sides = [side_tokens(tokens, side, losses).weights for side in SIDES]
    vectors = np.concatenate(sides, axis=1)
    vectors = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30
    )
    taken = [0]
    while len(taken) < min(most, len(losses)):
        nearest = (vectors @ vectors[taken].T).max(axis=1)
        nearest[taken] = np.inf
        taken.append(int(np.argmin(nearest)))
    return [losses[i] for i in sorted(taken)]
