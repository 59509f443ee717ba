"""Verdicts on made-up tables, where a claim holds and where it fails."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.record import OVER
from analyses.length_sensitivity.config import Config, Real, Task
from analyses.length_sensitivity.ledger_of_claims import CLAIMS
from analyses.length_sensitivity.paths import (
    Contest,
    at_divergence,
    at_levels,
    over_rates,
    paths,
)
from analyses.length_sensitivity.rows import make_table
from analyses.length_sensitivity.verdicts import make_claims

CONFIG = replace(
    Config(), draws=200, task=replace(Task(), kappas=(0.5,)), real=Real(datasets=())
)
FACTORS = CONFIG.task.rate_factors
MATCHED = CONFIG.task.matched_rates
CONTEST = Contest(("dpo", "sum"), ("averaged_dpo", "avg_matched"), 0.5)


def made_up(*, shorter=True, stable=True, seeds=5):
    """A table in which the claims on lengths hold, or in which they fail."""
    rng = np.random.default_rng(0)
    rows = []

    def put(metric, value, **keys):
        value = value * (1 + 0.002 * rng.normal())
        rows.append({"metric": metric, "value": value, **keys})

    growth = {"dpo": 2.0, "ipo": 2.0, "averaged_dpo": 0.5, "sampo": 0.5, "simpo": 0.5,
              "simpo_summed": 2.0}  # fmt: skip
    kinds = {"averaged_dpo": ("avg_matched", "avg"), "simpo": ("avg_matched",)}
    for seed in range(seeds):
        for metric, value in (("gen_len", 12.0), ("score", 0.5), ("quality", 0.5),
                              ("kl_seq", 1e-9), ("trunc_share", 0.0)):  # fmt: skip
            put(metric, value, kind="task", loss="reference", kappa=0.5, seed=seed)
        for loss, slope in growth.items():
            slope = slope if shorter else 2.5 - slope
            for kind in kinds.get(loss, ("sum",)):
                for rate in FACTORS if loss in ("dpo", "averaged_dpo") else MATCHED:
                    spread = 0.5 if (loss == "dpo") == stable else 0.01
                    for beta in CONFIG.betas:
                        kl = 0.4 / beta * rate
                        keys = {"kind": "task", "loss": loss, "beta_kind": kind,
                                "kappa": 0.5, "beta": beta, "rate": rate,
                                "seed": seed}  # fmt: skip
                        put("kl_seq", kl, **keys)
                        put("gen_len", 12 + 5 * slope * np.sqrt(kl), **keys)
                        put("score", 0.5 + 0.01 * kl + spread * (rate - 1), **keys)
                        put("quality", 0.5, **keys)
                        put("trunc_share", 0.0, **keys)
                        put("r2_len", 0.5 if shorter else 0.1, part="policy", **keys)
                        put("r2_len", 0.2, part="data", **keys)
        for convention in ("both", "policy"):
            for alpha in CONFIG.alphas:
                change = alpha if shorter else -alpha
                put("gen_len", 12 + 3 * change, kind="task", loss="lddpo", seed=seed,
                    beta_kind="sum", beta=0.1, rate=1.0, kappa=0.5, alpha_ld=alpha,
                    ref_convention=convention)  # fmt: skip
        put("doubling_share", 0.4 if shorter else 0.0, loss="dpo", seed=seed)
        put("doubling_share", 0.2 if not shorter else 0.0, loss="mle(reduction=mean)",
            seed=seed)  # fmt: skip
        small = 1e-15 if shorter else 1e-3
        for claim in ("S2.1a", "S2.5", "S2.6", "S2.12a"):
            put("error", small, kind="identity", quantity=claim, part="p", seed=seed)
        put("optimum_error", small, loss="averaged_dpo", seed=seed, pair=0)
        put("fixed_point_error", small, loss="averaged_dpo", seed=seed, pair=0)
        for pair in range(20):
            put("first_margin_spread", 1.0 if shorter else 1.5, seed=seed, pair=pair)
            put("first_margin_mean", 0.01 if shorter else 0.9, seed=seed, pair=pair)
            put("tv_optimum", 0.2, part="any lengths", seed=seed, pair=pair)
            put("tv_optimum", small, part="equal lengths", seed=seed, pair=pair)
    return make_table(rows)


@pytest.fixture(scope="module")
def holding():
    return make_claims(made_up(), CONFIG, {})


@pytest.fixture(scope="module")
def failing():
    return make_claims(made_up(shorter=False, stable=False), CONFIG, {})


def verdicts(table, claim):
    return set(table.loc[table["claim_id"] == claim, "verdict"])


def test_every_claim_has_a_verdict(holding):
    assert set(holding["claim_id"]) == set(CLAIMS)
    assert not holding.duplicated(["claim_id", "setting"]).any()


@pytest.mark.parametrize(
    "claim",
    ["S2.1a", "S2.1b", "S2.2a", "S2.2b", "S2.3b", "S2.4a", "S2.4b", "S2.5", "S2.6",
     "S2.7a", "S2.7b", "S2.8", "S2.9", "S2.10a", "S2.11", "S2.12a", "S2.12b",
     "S2.12c"],
)  # fmt: skip
def test_where_it_holds_and_where_it_fails(holding, failing, claim):
    assert verdicts(holding, claim) == {"reproduced"}
    if claim != "S2.4a":  # the same in both tables
        assert "reproduced" not in verdicts(failing, claim)
        found = verdicts(failing, claim)
        assert "contradicted" in found or claim in ("S2.2a", "S2.8")


def test_what_is_not_tested_says_so(holding):
    assert verdicts(holding, "S2.10b") == {"not testable"}
    untrained = make_claims(
        made_up()[lambda t: t["loss"] != "sampo"].reset_index(drop=True), CONFIG, {}
    )
    assert verdicts(untrained, "S2.9") == {"skipped"}


@pytest.mark.parametrize(
    ("claim", "loss", "rate"),
    [("S2.7b", "dpo", 0.25), ("S2.3a", "averaged_dpo", 1.0), ("S2.8", "ipo", 1.0),
     ("S2.3b", "averaged_dpo", 0.5), ("S2.9", "sampo", 0.25)],
)  # fmt: skip
def test_a_path_that_the_time_limit_cut_is_not_judged(claim, loss, rate):
    table = made_up()
    cut = (table["loss"] == loss) & (table["rate"] == rate) & (table["beta"] == 0.3)
    before, found = (
        make_claims(rows, CONFIG, {loss: OVER}) for rows in (table, table[~cut])
    )
    assert len(found) == len(before)
    lost = (found["verdict"] == "skipped") & (before["verdict"] != "skipped")
    assert claim in set(found.loc[lost, "claim_id"])
    assert set(found.loc[lost, "note"]) == {OVER}


def test_alphas_that_are_missing_leave_the_trend_undecided():
    table = made_up()
    found = make_claims(table[table["alpha_ld"] != 0.25], CONFIG, {"lddpo": OVER})
    assert verdicts(found, "S2.11") == {"skipped"}


def test_paths_start_at_the_reference():
    one = paths(made_up(), CONFIG, ("dpo", "sum"), 0.5)[0]
    assert np.isnan(one.beta[0])
    assert one.values["gen_len"][0] == pytest.approx(12, rel=0.02)
    assert len(one.trained("gen_len")) == len(CONFIG.betas)


def test_losses_meet_at_divergences_that_both_were_trained_to():
    table = made_up()
    both = at_divergence(table, CONFIG, CONTEST, "gen_len")
    assert len(both) == 5
    clouds = [over_rates(table, CONFIG, loss, 0.5, MATCHED)[0]
              for loss in (CONTEST.one, CONTEST.two)]  # fmt: skip
    costs = [values["kl_seq"] for values in clouds]
    assert all(len(cost) == len(MATCHED) * len(CONFIG.betas) for cost in costs)
    levels = at_levels(clouds, "kl_seq")
    assert levels.min() > max(c.min() for c in costs) > 0.3
    assert levels.max() < min(c.max() for c in costs)
    # Lengths bend with KL; a straight line from the reference is 25 % too short.
    expected = 12 + 5 * np.sqrt(levels) * [2.0, 0.5]
    np.testing.assert_allclose(both[0], expected, rtol=0.04)


def test_the_reference_has_no_part_in_equal_divergence():
    table = made_up()
    moved = table.copy()
    moved.loc[moved["loss"] == "reference", "value"] = 99.0
    for metric in ("gen_len", "score"):
        one, two = (at_divergence(t, CONFIG, CONTEST, metric) for t in (table, moved))
        np.testing.assert_array_equal(one, two)


def test_losses_whose_divergences_do_not_meet_are_not_compared():
    table = made_up()
    far = (table["loss"] == "sampo") & (table["metric"] == "kl_seq")
    table.loc[far, "value"] += 100
    found = make_claims(table, CONFIG, {})
    assert list(found.loc[found["claim_id"] == "S2.9", "verdict"]) == [
        "skipped",
        "reproduced",
    ]


def test_rank_correlations_of_few_points_are_resampled_by_seed_alone(holding):
    row = holding[holding["claim_id"] == "S2.11"].iloc[0]
    assert row["boot_low"] == row["boot_high"] == row["effect"] == 1
