"""Rows of the study `edit_distance` that several of its figures read."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure

from gradlab.plotting import loss_styles
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import LineStyle
from gradlab.plotting.text import label
from gradlab.plotting.trends import group_handles
from gradlab.tables import select

KINDS = {"text": "synthetic text", "arithmetic": "word problems"}
EQUAL_RATE = "equal rate"
CONTROL = "dpop, sign error"
# One colour each; further losses of the study follow with other dashes.
SHOWN = ("dpo", "ipo", "hinge", "simpo", "dpo_mle", "exmate", "dpop")
FOUR = ("dpo", "ipo", "hinge", "dpop")
NAMES = {"hinge": "SLiC (hinge)", CONTROL: "dpop, sign error (control)"}


def styles_of(table: pd.DataFrame) -> dict[str, LineStyle]:
    """A style for every loss of the table, the same in all figures."""
    return loss_styles((*SHOWN, *(str(loss) for loss in unique(table, "loss"))))


def name_of(loss: str) -> str:
    """A loss as the figures call it."""
    return NAMES.get(loss, label(loss))


def kinds_of(rows: pd.DataFrame) -> list[str]:
    """The trained kinds that are in the rows."""
    return [kind for kind in KINDS if kind in set(rows["kind"])]


def main_rate(table: pd.DataFrame, kind: str) -> float:
    """The learning rate of a kind's main grid."""
    return float(select(table, metric="profile", kind=kind)["lr"].iloc[0])


def ends(table: pd.DataFrame, metric: str, kind: str) -> pd.DataFrame:
    """What runs of a kind's main rate and well-fitted start ended with.

    Where the metric is stored over the steps, those of the last step.
    """
    rows = select(
        table, metric=metric, kind=kind, fit="well", rule=EQUAL_RATE,
        lr=main_rate(table, kind),
    )  # fmt: skip
    steps = set(rows["step"].dropna())
    return select(rows, step=max(steps)) if steps else rows


def smallest(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Those of the rows whose pairs have the smallest edit of their kind."""
    first = select(table, metric="profile")[["kind", "edit_kind", "edit_pos"]]
    keys = ["kind", "edit_kind", "edit_pos"]
    found = rows.merge(first.drop_duplicates(), on=keys)
    return select(found, edit_tokens=1)


def grid_losses(table: pd.DataFrame) -> list[str]:
    """The losses of the main grid, in the table's order."""
    return [str(loss) for loss in unique(select(table, metric="profile"), "loss")]


def shown_in(rows: pd.DataFrame, wanted: Iterable[str] = SHOWN) -> list[str]:
    """Those of some losses that the rows have."""
    there = set(rows["loss"])
    return [loss for loss in wanted if loss in there]


def legend_below(fig: Figure, losses: list[str], styles: dict[str, LineStyle]) -> None:
    """One legend of losses under all panels."""
    handles, _ = group_handles(losses, styles)
    names = [name_of(loss) for loss in losses]
    fig.legend(handles, names, loc="outside lower center", ncols=min(len(losses), 7))
