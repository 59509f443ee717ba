"""Names and styles of the losses of the study `self_imitation`, and lines of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradlab.plotting import loss_styles
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import seed_intervals

NAMES = {
    "sft": "SFT", "spin": "SPIN", "spin_hinge": "SPIN hinge", "bernoulli": "Bernoulli",
    "brier": "Brier", "hinge": "hinge", "kliep": "KLIEP", "lsif": "LSIF",
    "exp(z/2)": "exp(z/2)", "exp(z)": "exp(z)", "dpo": "DPO", "simpo": "SimPO",
    "dil_lsif": "DIL LSIF", "dil_ukl": "DIL UKL", "dil_bce": "DIL BCE",
    "cal_dpo_half": "Cal-DPO, c = 1/2", "cal_dpo_one": "Cal-DPO, c = 1",
}  # fmt: skip
STYLES = {NAMES[k]: style for k, style in loss_styles(NAMES).items()}


def named(rows: pd.DataFrame) -> list[str]:
    """Losses of the rows, in the study's order."""
    return [name for name in NAMES.values() if name in set(rows["name"])]


def legend(fig: Figure, names: Sequence[str]) -> None:
    """Below all panels."""
    fig.legend(*group_handles(names, STYLES), loc="outside lower center", ncols=5)


def lines(ax: Axes, rows: pd.DataFrame, floor: float = -np.inf) -> None:
    """One line per loss over the iterations, values below `floor` drawn there."""
    trends = seed_intervals(rows, ["name", "iteration"])
    trends = trends.astype({"iteration": float})
    ends = ["value", "low", "high"]
    trends[ends] = trends[ends].clip(lower=floor)
    plot_trends(
        trends, x="iteration", group="name", groups=named(rows), styles=STYLES,
        shift=0.05, ax=ax,
    )  # fmt: skip
