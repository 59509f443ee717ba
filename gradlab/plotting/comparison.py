"""The set of figures that a comparison of losses shows, from its two tables."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradlab.plotting.curves import plot_penalty_scatter
from gradlab.plotting.heat import HEAT_NOTE, heat_height, plot_token_heat
from gradlab.plotting.lanes import LANE_NOTE, lane_height, plot_token_weights
from gradlab.plotting.masses import ROW, plot_mass, plot_region_shares
from gradlab.plotting.pairs import (
    SIDES,
    TOKEN_COLUMNS,
    contrasting_losses,
    example_pair,
    loss_names,
)
from gradlab.plotting.scales import (
    log_odds,
    set_probability_axis,
    set_weight_axis,
)
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    SMALL,
    LineStyle,
    loss_styles,
    new_figure,
    paper_style,
)
from gradlab.tables import require_columns, select

FIGURES = ("mass", "token_weights", "token_heat", "penalty")
HEAT_LOSSES = 4
_HEAT_WIDTH = 0.96 * DOUBLE_COLUMN


def comparison_figures(
    tokens: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    pair: int | None = None,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    include: Sequence[str] = FIGURES,
) -> dict[str, Figure]:
    """All figures of one comparison, by name.

    Args:
      tokens: a tokens table: one row per pair, side, position and loss.
      summary: one row per loss.
      pair: the pair whose tokens are shown; `example_pair` chooses by default.
      losses: which, in order; those of the summary by default.
      styles: from `loss_styles`, to share colours with further figures.
      include: which figures, by the names below.
    Returns:
      mass: total weight on chosen and rejected tokens, and where it lies;
      token_weights: weights along the tokens of the example pair;
      token_heat: its text coloured by the weights of up to four unlike losses;
      penalty: weight against probability of the rejected tokens, one panel per loss.
    Raises:
      GradlabError: a table lacks a column, a loss or the pair.
    """
    require_columns(tokens, TOKEN_COLUMNS, "the tokens table")
    names = loss_names(summary, losses)
    loss_names(tokens, names)
    number = example_pair(tokens) if pair is None else pair
    example = select(tokens, pair=number, loss=names)
    require_columns(example, (), f"pair {number} of the tokens table")
    makers: Mapping[str, Callable[[], Figure]] = {
        "mass": lambda: mass_figure(summary, names),
        "token_weights": lambda: token_weights_figure(example, names),
        "token_heat": lambda: token_heat_figure(example, names),
        "penalty": lambda: penalty_figure(tokens, names, styles or loss_styles(names)),
    }
    with paper_style():
        return {name: makers[name]() for name in include}


def mass_figure(summary: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """Masses at the left and region shares at the right, one line per loss."""
    fig = new_figure(DOUBLE_COLUMN, ROW * len(losses) + 0.85)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    plot_mass(summary, losses=losses, ax=left)
    plot_region_shares(summary, losses=losses, ax=right)
    right.tick_params(axis="y", labelleft=False)
    return fig


def token_weights_figure(example: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """Lanes of the chosen response above those of the rejected one."""
    fig = new_figure(DOUBLE_COLUMN, 2 * (lane_height(len(losses)) + 0.8) + 0.25)
    for side, ax in zip(SIDES, fig.subplots(2, 1), strict=True):
        plot_token_weights(example, losses=losses, side=side, ax=ax)
    fig.supxlabel(LANE_NOTE, fontsize=SMALL)
    return fig


def token_heat_figure(
    example: pd.DataFrame, losses: Sequence[str], *, most: int = HEAT_LOSSES
) -> Figure:
    """The text of the pair under up to `most` losses that differ most."""
    shown = contrasting_losses(example, losses, most)
    height = heat_height(example, _HEAT_WIDTH)
    fig = new_figure(DOUBLE_COLUMN, height * len(shown) + 0.2)
    axes = list(np.atleast_1d(fig.subplots(len(shown), 1)))
    for loss, ax in zip(shown, axes, strict=True):
        plot_token_heat(example, loss=loss, width=_HEAT_WIDTH, ax=ax)
    fig.supxlabel(HEAT_NOTE, fontsize=SMALL)
    return fig


def penalty_figure(
    tokens: pd.DataFrame, losses: Sequence[str], styles: Mapping[str, LineStyle]
) -> Figure:
    """A panel per loss: weight of each rejected token against its probability."""
    # Three columns where that takes no more rows than four, or leaves no gap.
    count = len(losses)
    columns = min(count, 3 if -(-count // 3) == -(-count // 4) or count == 9 else 4)
    rows = -(-len(losses) // columns)
    fig = new_figure(DOUBLE_COLUMN, 1.15 * rows + 0.35)
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.ravel())
    for loss, ax in zip(losses, panels, strict=False):
        plot_penalty_scatter(tokens, loss=loss, styles=styles, ax=ax)
        ax.set_xlabel("")
        ax.set_ylabel("")
    for ax in panels[len(losses) :]:
        ax.set_visible(False)
        grid[-2, list(grid[-1]).index(ax)].tick_params(labelbottom=True)
    bad = select(tokens, side="rejected", loss=list(losses))
    set_weight_axis(panels[0], bad["weight"])
    set_probability_axis(panels[0].xaxis, log_odds(bad["logp"]), spacing=0.2)
    # Labels of neighbours would read as one.
    fig.set_layout_engine("constrained", wspace=0.06)
    fig.supxlabel("probability of the rejected token (log-odds scale)", fontsize=8)
    fig.supylabel("weight ∂L/∂log p", fontsize=8)
    return fig
