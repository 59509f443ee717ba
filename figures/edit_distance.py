"""Figures of the study `edit_distance`, from its long-format table.

Columns of analyses/tables/edit_distance.csv; a key that a row doesn't have is empty:
`study, kind, loss, seed, step, side, edit_kind, edit_tokens, edit_pos, fit, lr, rule,
beta, lam, offset, pair, position, x, metric, value`. The metrics that are drawn, and
the keys of their rows besides study, kind and seed:

    profile, profile_count     loss, side, offset: drift of the tokens at that distance
                               from the first difference, nats; their number
    d_sum                      loss, side, step and the keys of the run: drift of a
                               response, nats
    d_before, d_at, d_after    loss, side and the keys of the run: nats per token
    below_start, acc           loss and the keys of the run: shares
    acc_start                  share of word problems solved before any run
    token_ww, token_real       pair, position: wrong-way score and drift of a token
    pred_before, pred_at, pred_after
                               loss, side: predicted by one step, nats per token
    weight_ratio               loss, x: chosen over rejected slope at h_c = x

The keys of a run are edit_kind, edit_tokens (0: the whole response), edit_pos, fit, lr,
rule ("equal rate", or "equal margin") and, where the loss has them, beta and lam. A
figure whose metrics the table lacks is left out. Bands and whiskers are 95 % Student-t
intervals over seeds.
"""

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.figure import Figure

from figures._edit_runs import plane, profile, rates, regions
from figures._edit_sizes import accuracy, distance, falls, places, strengths
from figures._edit_steps import placements, real, wrong_way
from gradlab.plotting import paper_style
from gradlab.tables import check_study_table

FIGURES: Mapping[str, tuple[set[str], Callable[[pd.DataFrame], Figure]]] = {
    "profile": ({"profile", "profile_count"}, profile),
    "distance": ({"d_sum", "d_after", "profile"}, distance),
    "accuracy": ({"acc", "acc_start", "profile"}, accuracy),
    "strengths": ({"acc", "d_after", "acc_start", "profile"}, strengths),
    "plane": ({"d_sum", "profile"}, plane),
    "regions": ({"d_before", "d_at", "d_after", "profile"}, regions),
    "falls": ({"below_start", "profile"}, falls),
    "rates": ({"d_after", "acc", "acc_start", "profile"}, rates),
    "places": ({"d_sum", "d_at", "d_after", "profile"}, places),
    "wrong_way": ({"token_ww", "token_real"}, wrong_way),
    "real": ({"pred_before", "pred_at", "pred_after"}, real),
    "placements": ({"weight_ratio"}, placements),
}


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the metrics for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of edit_distance")
    metrics = set(table["metric"])
    with paper_style():
        return {
            name: make(table)
            for name, (needed, make) in FIGURES.items()
            if needed <= metrics
        }
