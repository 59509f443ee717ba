"""The simulation's rows, and regret at equal pair gaps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analyses.preference_pipeline.config import Judging
from analyses.preference_pipeline.judges import make_pools
from analyses.preference_pipeline.schemes import Picked
from analyses.preference_pipeline.selection import gap_matched_regret, selection_rows

JUDGING = replace(
    Judging(), pools=300, other_candidates=(4,), other_taus=(2.0,), strengths=(0.0, 1.0)
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame(list(selection_rows(JUDGING, 0)))


def value(rows: pd.DataFrame, metric: str, **keys) -> float:
    for key, wanted in keys.items():
        rows = rows[rows[key] == wanted]
    (found,) = rows[rows["metric"] == metric]["value"]
    return found


def test_every_row_is_another_observation(rows):
    assert not rows.drop(columns="value").duplicated().any()
    assert np.isfinite(rows["value"]).all()


def test_more_noise_more_regret_and_more_calls_less(rows):
    keys = {"part": "matched", "candidates": 8, "rejected": "lowest"}
    quiet, loud = (
        value(rows, "regret", scheme="round robin", tau=tau, **keys)
        for tau in (0.5, 2.0)
    )
    assert quiet < loud
    dear = value(rows, "regret", scheme="scores x 4, tail up", tau=2.0, **keys)
    assert dear < value(rows, "regret", scheme="scores x 1, tail up", tau=2.0, **keys)


def test_the_calls_of_each_scheme(rows):
    keys = {"part": "matched", "candidates": 8, "tau": 0.5}
    for scheme, calls in (
        ("max and min", 10), ("round robin", 28), ("Swiss", 16),
        ("scores x 2, tail up", 16),
    ):  # fmt: skip
        assert value(rows, "calls", scheme=scheme, **keys) == calls


def test_a_pair_gap_is_gained_where_the_lowest_is_rejected(rows):
    keys = {"part": "matched", "candidates": 8, "tau": 0.5, "scheme": "running winner"}
    last, lowest = (
        value(rows, "pair_gap", rejected=rule, **keys)
        for rule in ("last loser", "second pass")
    )
    assert lowest > last + 0.5


def test_equal_gaps_compare_like_with_like():
    """The best against a random other, and the second best against such a one."""
    pools = make_pools(20_000, 4, np.random.default_rng(0))
    order = np.argsort(-pools.utilities, axis=1)
    best = Picked(order[:, 0], order[:, 3], np.zeros(20_000))
    second = Picked(order[:, 1], order[:, 3], np.zeros(20_000))
    lost = pools.utilities.max(1) - np.take_along_axis(
        pools.utilities, order[:, 1:2], axis=1
    )[:, 0]  # fmt: skip
    found = gap_matched_regret(pools, second, best)
    assert found > 0
    # Among pools with small gaps the second is nearer to the best than on average.
    assert found != pytest.approx(lost.mean(), rel=0.01)
    assert gap_matched_regret(pools, best, best) == 0
