"""Self-play on word problems: answers, likelihoods and margins over the iterations."""

import pandas as pd
from matplotlib.figure import Figure

from figures._imitation_lines import legend, lines, named
from gradlab.plotting.style import DOUBLE_COLUMN, new_figure
from gradlab.tables import select

KEYS = ["name", "seed", "iteration"]


def words(table: pd.DataFrame) -> Figure:
    """Six panels over the iterations, a line per loss.

    Above exact answers at both kinds of rates, and the likelihood of held-out
    solutions; below, at the common rate, both sides' log-probabilities and the margin.
    """
    common, own = (select(table, part=part) for part in ("words", "words own rate"))
    gain = _drifts(common)
    negatives = gain.assign(value=_sampled_from(common, gain) + gain["rejected"])
    margin = gain.assign(value=gain["chosen"] - gain["rejected"])
    panels = {
        "exact answers, one rate for all": (select(common, metric="acc"), "share"),
        "exact answers, rates of their own": (select(own, metric="acc"), "share"),
        "held-out solutions": (
            select(common, metric="kl_data_policy"), "\N{MINUS SIGN}log π (nats/token)"
        ),
        "demonstrations": (select(common, metric="logp_real"), "log π (nats)"),
        "negatives, after training on them": (negatives, "log π (nats)"),
        "margin of log(π / πₜ)": (margin, "nats"),
    }  # fmt: skip
    fig = new_figure(DOUBLE_COLUMN, 4.4)
    axes = fig.subplots(2, 3).ravel()
    for ax, (title, (rows, unit)) in zip(axes, panels.items(), strict=True):
        lines(ax, rows)
        ax.set(title=title, ylabel=unit, xlabel="iteration")
        ax.set_xticks(sorted(set(rows["iteration"])))
    legend(fig, named(common))
    return fig


def _drifts(rows: pd.DataFrame) -> pd.DataFrame:
    """Drift of both sides at the end of each iteration: columns chosen, rejected."""
    sides = {}
    for side in ("chosen", "rejected"):
        drift = select(rows, metric=f"d_{side}_sum").sort_values("step")
        sides[side] = drift.groupby(KEYS)["value"].last()
    return pd.DataFrame(sides).reset_index()


def _sampled_from(rows: pd.DataFrame, gain: pd.DataFrame) -> pd.Series:
    """Log-probability that an iteration's negatives had under who wrote them."""
    before = select(rows, metric="logp_gen").set_index(KEYS)["value"]
    earlier = gain[KEYS].assign(iteration=gain["iteration"] - 1)
    found = before.reindex(pd.MultiIndex.from_frame(earlier))
    return pd.Series(found.to_numpy(float), gain.index)
