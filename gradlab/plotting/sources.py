"""Source data of figures: for each figure of a command, the rows that it shows.

Journals ask for them beside a figure. They are rows of the run's own tables, before
binning and before colours, so that another tool can draw the figure again.
"""

from collections.abc import Sequence

import pandas as pd

from gradlab.plotting.comparison import HEAT_LOSSES
from gradlab.plotting.drift import CHOSEN_DRIFTS, KEYS, PANELS, waterfall_tokens
from gradlab.plotting.lengths import PAIR_COLUMNS
from gradlab.plotting.pairs import contrasting_losses, example_pair, loss_names
from gradlab.tables import select

PLACE = ("loss", "pair", "side", "position", "token_id", "token", "region")
DRIFTS = ("predicted", "by_chosen", "by_rejected", "carried", "own", "realised")


def comparison_sources(
    tokens: pd.DataFrame, summary: pd.DataFrame, *, pair: int | None = None
) -> dict[str, pd.DataFrame]:
    """Rows behind each figure of `comparison_figures`, given the same tables.

    Returns:
      Name of the figure -> its rows: mass (one per loss), token_weights and token_heat
      (tokens of the example pair), penalty (rejected tokens of the pairs shown).
    """
    names = loss_names(summary, None)
    number = example_pair(tokens) if pair is None else pair
    example = select(tokens, pair=number, loss=names)
    masses = ("loss", "mass_chosen", "mass_rejected")
    shares = ("share_before", "share_at", "share_after")
    heat = select(example, loss=contrasting_losses(example, names, HEAT_LOSSES))
    weighed = (*PLACE, "logp", "weight")
    return {
        "mass": _columns(summary, (*masses, *shares)),
        "token_weights": _columns(example, weighed),
        "token_heat": _columns(heat, weighed),
        "penalty": _columns(select(tokens, side="rejected", loss=names), weighed),
    }


def drift_sources(
    tokens: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    pair: int | None = None,
    gram: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Rows behind each figure of `drift_figures`, given the same tables.

    Returns:
      Name of the figure -> its rows: agreement (tokens), waterfall (tokens of one pair
      and loss), cases and buckets (pairs), gram (pairs of tokens), if it is given.
    """
    names = loss_names(pairs, None)
    agreed = select(tokens, loss=names[:PANELS])
    fallen = waterfall_tokens(tokens, pairs, pair=pair)
    return {
        "agreement": _columns(agreed, (*PLACE, "predicted", "realised")),
        "waterfall": _columns(fallen, (*PLACE, *DRIFTS)),
        "cases": _columns(pairs, ("loss", "pair", "case")),
        "buckets": _columns(pairs, ("loss", "pair", CHOSEN_DRIFTS[0], *KEYS)),
        **({} if gram is None else {"gram": gram}),
    }


def length_sources(
    pairs: pd.DataFrame, summary: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Rows behind each figure of `length_figures`, given the same tables.

    Returns:
      Name of the figure -> its rows: weights and maps (pairs), correlations (losses).
    """
    ranked = [str(c) for c in summary.columns if str(c).startswith("rho_")]
    lengths = [c for c in PAIR_COLUMNS if not c.startswith("weight")]
    return {
        "weights": _columns(pairs, PAIR_COLUMNS),
        "correlations": _columns(summary, ("loss", *ranked)),
        "maps": _columns(pairs, lengths),
    }


def _columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Those of the columns that the table has."""
    return pd.DataFrame(table[[name for name in names if name in table.columns]])
