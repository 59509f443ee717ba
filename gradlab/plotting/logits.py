"""What a loss does to the logits at the first token that differs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.scales import set_weight_axis
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    LOWERED,
    MUTED,
    RAISED,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns

ROLES = {
    "good": (RAISED, "chosen token"),
    "bad": (LOWERED, "rejected token"),
    "third": ("#E69F00", "most likely third token"),
    "rest": ("#bdbdbd", "all others, summed"),
}


def plot_logit_bars(
    bars: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Gradient of the loss on the logits where the responses part, by token role.

    Below 0 a gradient step raises the logit, above it lowers it; the four roles of a
    loss sum to 0.

    Args:
      bars: columns `loss`, `role` ("good", "bad", "third" or "rest") and `value`
        (dL/dlogit); with `low` and `high` an interval is drawn.
      losses: groups from left to right; all by default.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes, with a legend above it.
    Raises:
      GradlabError: a column is missing, a loss or role is unknown, or a role of a loss
        has more than one row.
    Example:
      >>> roles = {"role": ["good", "bad"], "value": [-0.05, 0.05]}
      >>> ax = plot_logit_bars(pd.DataFrame({"loss": "dpo", **roles}))
    """
    require_columns(bars, ("loss", "role", "value"), "the table of bars")
    names = loss_names(bars, losses)
    unknown = set(bars["role"]) - set(ROLES)
    if unknown:
        raise GradlabError(f"unknown role(s) {sorted(unknown)}; they are {list(ROLES)}")
    if bars.duplicated(["loss", "role"]).any():
        raise GradlabError("the table of bars repeats a role of a loss")
    rows = bars.set_index(["loss", "role"])
    width = 0.8 / len(ROLES)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, 2.3)
        for number, (role, (color, text)) in enumerate(ROLES.items()):
            wanted = pd.MultiIndex.from_product([names, [role]])
            own = rows.reindex(wanted)
            x = np.arange(len(names)) + (number - 1.5) * width
            ax.bar(x, own["value"], 0.92 * width, color=color, label=text)
            if {"low", "high"} <= set(own.columns):
                ax.vlines(x, own["low"], own["high"], color=INK, linewidth=0.7)
        ax.axhline(0, color=MUTED, linewidth=0.6)
        set_weight_axis(ax, bars["value"])
        ticks = [label(name, 20) for name in names]
        ax.set_xticks(range(len(names)), ticks, rotation=35, ha="right",
                      rotation_mode="anchor", parse_math=False)  # fmt: skip
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(-0.6, len(names) - 0.4)
        ax.set_ylabel("∂L/∂logit")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1)
    return ax
