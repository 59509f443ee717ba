"""Probe measurements as tables: one row per token, per text, and per summary."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradlab.data import TokenizedPair

Columns = dict[str, np.ndarray]  # each with one entry for each token, in order of rows
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def token_table(
    step: int, probe: str, rows: Sequence[TokenizedPair], columns: Columns
) -> pd.DataFrame:
    """One row for each token: step, probe, row, position, token_id, statistics.

    Args:
      step: finished steps.
      probe: the kind.
      rows: texts; the column `row` is their row of the data.
      columns: flat statistics, in the order of the rows.
    """
    lengths = [len(row.chosen) for row in rows]
    return pd.DataFrame(
        {
            "step": step,
            "probe": probe,
            "row": np.repeat([row.row for row in rows], lengths),
            "position": np.concatenate([np.arange(n) for n in lengths]),
            "token_id": np.concatenate([row.chosen for row in rows]),
            **columns,
        }
    )


def text_table(tokens: pd.DataFrame) -> pd.DataFrame:
    """One row for each text: sums and means over its tokens.

    Columns end in _sum (nats) or _mean (nats per token, or a share); len counts tokens.
    """
    keys = ["step", "probe", "row"]
    groups = tokens.groupby(keys, sort=False)
    table = groups.agg(len=("position", "size"))
    for name in ("logp", "drift", "max_logp", "predicted", "realised"):
        if name in tokens:
            table[f"{name}_sum"] = groups[name].sum(min_count=1)
    for name in ("logp", "drift", "entropy", "top_k_mass", "hit"):
        if name in tokens:
            table[f"{name}_mean"] = groups[name].mean()
    return table.reset_index()


def summary_table(texts: pd.DataFrame) -> pd.DataFrame:
    """Tidy: step, probe, metric, statistic, value; over the texts of a step and probe.

    Statistics are mean and quantiles. `below_start` is the share of texts whose
    log-probability is lower than at the start. The probe "chosen-rejected" holds the
    difference of the two: logp_sum_margin, and accuracy, the share above 0.
    """
    measured = [c for c in texts.columns if c not in ("step", "probe", "row")]
    drift = texts["drift_sum"]
    below = np.where(drift.isna(), np.nan, drift < 0)
    texts = texts.assign(below_start=below)
    groups = texts.groupby(["step", "probe"], sort=False)
    parts = [_long(pd.DataFrame(groups[measured].mean()), "mean")]
    for q in QUANTILES:
        found = pd.DataFrame(groups[measured].quantile(q))
        parts.append(_long(found, f"q{round(100 * q)}"))
    parts.append(_long(pd.DataFrame(groups[["below_start"]].mean()), "mean"))
    parts.append(_margins(texts))
    table = pd.concat(parts, ignore_index=True).dropna(subset=["value"])
    table = table.assign(place=pd.factorize(table["probe"])[0])
    table = table.sort_values(["step", "place"], kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def _margins(texts: pd.DataFrame) -> pd.DataFrame:
    wide = texts.pivot_table(
        index=["step", "row"], columns="probe", values="logp_sum", sort=False
    )
    if not {"chosen", "rejected"} <= set(wide.columns):
        return pd.DataFrame()
    margin = wide["chosen"] - wide["rejected"]
    accuracy = (margin > 0).astype(float)
    both = pd.DataFrame({"logp_sum_margin": margin, "accuracy": accuracy})
    means = pd.DataFrame(both.groupby("step", sort=False).mean())
    means = means.assign(probe="chosen-rejected").set_index("probe", append=True)
    return _long(means, "mean")


def _long(wide: pd.DataFrame, statistic: str) -> pd.DataFrame:
    long = wide.reset_index().melt(["step", "probe"], var_name="metric")
    long.insert(3, "statistic", statistic)
    return long
