"""The beta paths in the study's table, and two losses at equal divergence or strength.

At equal divergence only trained policies count, those of lower learning rates too, so
that two losses meet. A straight line from the reference to the nearest policy would
not do: length and score bend along it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyses.length_sensitivity.config import Config
from gradlab.measures.frontier import at_level, shared_levels
from gradlab.tables import select

MATCHED, PLAIN = "avg_matched", "sum"
METRICS = ("gen_len", "score", "quality", "kl_seq", "trunc_share")


@dataclass(frozen=True)
class Path:
    """One loss over its strength, from the reference, under one seed and kappa.

    Attributes:
      beta: [n] increasing; NaN at the reference, which comes first.
      values: metric -> [n].
    """

    beta: np.ndarray
    values: Mapping[str, np.ndarray]

    def trained(self, metric: str) -> np.ndarray:
        """[n - 1] the metric of all but the reference."""
        return self.values[metric][1:]


@dataclass(frozen=True)
class Contest:
    """Two losses under one annotator.

    Attributes:
      one: label and kind of strength of the loss that the effect is a share of.
      two: of the other.
      kappa: of the annotator.
    """

    one: tuple[str, str]
    two: tuple[str, str]
    kappa: float


def paths(
    table: pd.DataFrame,
    config: Config,
    loss: tuple[str, str],
    kappa: float,
    rate: float = 1.0,
) -> dict[int, Path]:
    """The path of each seed that has all strengths; none where there is none.

    Args:
      table: of the study.
      config: that it was made with.
      loss: label and kind of strength.
      kappa: of the annotator.
      rate: over the study's.
    """
    task = select(table, kind="task", kappa=kappa, metric=list(METRICS))
    own = select(
        task, loss=loss[0], beta_kind=loss[1], rate=rate, subset="", ref_convention=""
    )
    start = select(task, loss="reference")
    found = {}
    for seed, rows in own.groupby("seed"):
        wide = rows.pivot_table(index="beta", columns="metric", values="value")
        if len(wide) < len(config.betas):
            continue
        first = select(start, seed=seed).set_index("metric")["value"]
        values = {m: np.append(first[m], wide[m].to_numpy()) for m in METRICS}
        found[int(str(seed))] = Path(
            np.append(np.nan, wide.index.to_numpy(float)), values
        )
    return found


def over_rates(
    table: pd.DataFrame,
    config: Config,
    loss: tuple[str, str],
    kappa: float,
    rates: Sequence[float],
) -> dict[int, dict[str, np.ndarray]]:
    """Metric -> [rates x strengths] trained policies, of seeds that have them all."""
    each = [paths(table, config, loss, kappa, rate) for rate in rates]
    return {
        seed: {m: np.concatenate([p[seed].trained(m) for p in each]) for m in METRICS}
        for seed in each[0]
        if all(seed in p for p in each)
    }


def at_divergence(
    table: pd.DataFrame, config: Config, contest: Contest, metric: str
) -> list[np.ndarray]:
    """[levels, 2] a metric of both losses at equal steps of sequence KL, by seed.

    The levels lie where both losses have trained policies of less and of more KL;
    between neighbours the metric is taken as linear. A seed without such a range is
    left out.
    """
    rates = config.task.matched_rates
    pair = [
        over_rates(table, config, loss, contest.kappa, rates)
        for loss in (contest.one, contest.two)
    ]
    found = [
        at_levels([part[seed] for part in pair], metric)
        for seed in pair[0]
        if seed in pair[1]
    ]
    return [values for values in found if len(values)]


def at_levels(clouds: Sequence[Mapping[str, np.ndarray]], metric: str) -> np.ndarray:
    """[levels, losses] a metric of several losses' policies at shared levels of KL."""
    costs = [values["kl_seq"] for values in clouds]
    return np.array(
        [
            [at_level(values["kl_seq"], values[metric], level) for values in clouds]
            for level in shared_levels(*costs)
        ]
    ).reshape(-1, len(clouds))


def at_strength(
    table: pd.DataFrame, config: Config, contest: Contest, metric: str
) -> list[np.ndarray]:
    """[strengths, 2] a metric of both losses at the study's rate, by seed."""
    one, two = (
        paths(table, config, loss, contest.kappa) for loss in (contest.one, contest.two)
    )
    return [
        np.stack([one[seed].trained(metric), two[seed].trained(metric)], -1)
        for seed in one
        if seed in two
    ]
