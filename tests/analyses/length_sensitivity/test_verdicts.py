"""Verdicts on made-up tables, where a claim holds and where it fails."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.record import OVER
from analyses.length_sensitivity.config import Config, Real, Task
from analyses.length_sensitivity.ledger_of_claims import CLAIMS
from analyses.length_sensitivity.paths import at_matched, matched, paths
from analyses.length_sensitivity.rows import make_table
from analyses.length_sensitivity.verdicts import make_claims

CONFIG = replace(
    Config(), draws=200, task=replace(Task(), kappas=(0.5,)), real=Real(datasets=())
)
FACTORS = CONFIG.task.rate_factors


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
                for rate in FACTORS if loss in ("dpo", "averaged_dpo") else (1.0,):
                    spread = 0.5 if (loss == "dpo") == stable else 0.01
                    for beta in CONFIG.betas:
                        kl = 0.4 / beta
                        keys = {"kind": "task", "loss": loss, "beta_kind": kind,
                                "kappa": 0.5, "beta": beta, "rate": rate,
                                "seed": seed}  # fmt: skip
                        put("kl_seq", kl, **keys)
                        put("gen_len", 12 + slope * kl, **keys)
                        put("score", 0.5 + 0.05 * kl + spread * (rate - 1), **keys)
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


def test_a_spread_over_fewer_rates_is_none():
    table = made_up()
    slow = (table["loss"] == "dpo") & (table["rate"] == FACTORS[0])
    found = make_claims(table[~slow], CONFIG, {"dpo, sum 0.1": OVER})
    row = found[found["claim_id"] == "S2.7b"].iloc[0]
    assert (row["verdict"], row["note"]) == ("skipped", OVER)


def test_paths_start_at_the_reference_and_meet_at_equal_divergence():
    table = made_up()
    one = paths(table, "dpo", "sum", 0.5)[0]
    two = paths(table, "averaged_dpo", "avg_matched", 0.5)[0]
    assert np.isnan(one.beta[0])
    assert one.values["gen_len"][0] == pytest.approx(12, rel=0.02)
    gains = at_matched(one, two, "gen_len")
    # 12 + 2 kl against 12 + kl / 2 over the levels 8/6 ... 40/6
    levels = np.linspace(0, 8, 7)[1:-1]
    np.testing.assert_allclose(gains[:, 0], 12 + 2 * levels, rtol=0.02)
    expected = 1 - (12 + levels / 2).mean() / (12 + 2 * levels).mean()
    assert matched(one, two, "gen_len") == pytest.approx(expected, rel=0.1)
