"""From a table to verdicts: made-up tables in which the claims hold, or fail."""

from dataclasses import replace

import pytest

from analyses.common.record import OVER
from analyses.edit_distance.config import SIGN_ERROR, Config
from analyses.edit_distance.ledger_of_claims import CLAIMS, MARGIN
from analyses.edit_distance.reading import Table
from analyses.edit_distance.real import missing
from analyses.edit_distance.rows import make_table
from analyses.edit_distance.runs import EQUAL_MARGIN
from analyses.edit_distance.verdicts import make_claims
from tests.analyses.edit_distance.made_up import as_claimed, study_rows

CONFIG = replace(Config(), draws=50)
# No reversal of the runs' numbers changes these.
FIXED = {"S4.0", "S4.3", "S4.4", "S4.10", "S4.11a", "S4.12"}


def judged(value=as_claimed, config=CONFIG):
    skipped = missing(config, None)
    skipped.pop("blimp")
    return make_claims(make_table(study_rows(config, value)), config, skipped)


@pytest.fixture(scope="module")
def claims():
    return judged()


def verdicts(claims, claim: str, setting: str = "") -> set[str]:
    rows = claims[claims["claim_id"] == claim]
    rows = rows[rows["setting"].str.startswith(setting)]
    found = {verdict.partition(" (")[0] for verdict in rows["verdict"]}
    return found - {"skipped"}


def test_every_claim_has_a_verdict(claims):
    assert set(claims["claim_id"]) == set(CLAIMS)
    assert (claims["verdict"] != "").all()


@pytest.mark.parametrize("claim", list(CLAIMS))
def test_where_all_holds_all_is_reproduced(claims, claim):
    assert verdicts(claims, claim) == {"reproduced"}


@pytest.mark.parametrize("claim", sorted(set(CLAIMS) - FIXED))
def test_where_runs_do_the_opposite_no_claim_is_reproduced(claims, claim):
    assert verdicts(opposite(), claim) == {"contradicted"}, claim


_REVERSED = {}


def opposite():
    """Claims on runs that do the reverse of what is claimed; computed once."""
    if not _REVERSED:
        _REVERSED["claims"] = judged(reverse)
    return _REVERSED["claims"]


def reverse(cell, metric: str, side: str) -> float:
    claimed = as_claimed(cell, metric, side)
    if metric == "acc":
        # Strength of the penalty matters here; IPO improves on the base.
        strong = {"dpop(lam=5)": 0.2, "dpop(lam=500)": 0.2, "ipo": 0.3}
        return 2 * 0.97 - claimed + strong.get(cell.loss, 0)
    if metric.startswith("choice"):
        return 1 - claimed
    strong = 1.0 if cell.loss in ("dpop(lam=5)", "dpop(lam=500)") else 0.0
    return claimed + 9 if cell.loss == SIGN_ERROR else -claimed + strong


def at_ceiling(change: float):
    """The claims where all runs start at the ceiling and end that far from it."""

    def value(cell, metric, side):
        if metric == "choice_start":
            return 0.99
        end = {"acc": 0.99 + change, "choice_acc": 0.99 + change}
        return end.get(metric, as_claimed(cell, metric, side))

    rows = study_rows(CONFIG, value)
    rows = [r | {"value": 0.99} if r["metric"] == "acc_start" else r for r in rows]
    return make_claims(make_table(rows), CONFIG, {})


@pytest.mark.parametrize("claim", ["S4.5b", "S4.5c", "S4.6a"])
def test_a_base_at_the_ceiling_cannot_improve(claim):
    found = at_ceiling(0.0)
    assert verdicts(found, claim) == {"not testable"}
    notes = found.loc[found["claim_id"] == claim, "note"]
    assert notes.str.contains("the ceiling").all()


def test_a_base_at_the_ceiling_can_fall():
    found = at_ceiling(-0.2)
    assert verdicts(found, "S4.5b") == {"contradicted"}
    assert verdicts(found, "S4.5c") == {"not testable"}
    assert verdicts(found, "S4.6a") == {"contradicted"}
    assert verdicts(found, "S4.5a") == {"reproduced"}


def test_what_is_missing_is_said(claims):
    rows = claims[claims["claim_id"] == "S4.4"].set_index("setting")
    assert rows.loc["gsm8k, predicted drift", "verdict"] == "skipped"
    assert "gsm8k_corrupt" in rows.loc["gsm8k, predicted drift", "note"]
    assert "opt-in" in rows.loc["larger model, predicted drift", "note"]


def test_runs_that_the_time_limit_cost_are_said_to_be_that():
    rows = [row for row in study_rows(CONFIG) if row.get("lr") != 1e-4]
    found = make_claims(make_table(rows), CONFIG, {"text, sweep": OVER})
    row = found.set_index(["claim_id", "setting"]).loc[
        ("S4.1", "text, one letter edited, rate 0.0001")
    ]
    assert (row["verdict"], row["note"]) == ("skipped", OVER)


@pytest.mark.parametrize(
    ("seeds", "verdict", "note"),
    [
        ((), "not testable", "0 of 5 runs pass it between two evaluations"),
        ((0, 1, 2), "not testable", "3 of 5 runs pass it between two evaluations"),
        ((0, 1, 2, 3, 4), "reproduced", ""),
    ],
)
def test_a_margin_that_not_every_run_reaches(seeds, verdict, note):
    rows = [
        row
        for row in study_rows(CONFIG)
        if row.get("rule") != EQUAL_MARGIN or row["seed"] in seeds
    ]
    found = make_claims(make_table(rows), CONFIG, {})
    found = found.set_index(["claim_id", "setting"])
    setting = "text, one letter edited, rate 0.0003, at a margin of 1 nats"
    across = "text, 1, 4, 16, all tokens, rate 0.0001, at a margin of 1 nats"
    for claim in ("S4.1", "S4.2a", "S4.2b", "S4.9"):
        row = found.loc[(claim, across if claim == "S4.9" else setting)]
        assert (row["verdict"], row["matching_rule"]) == (verdict, MARGIN)
        assert row["note"].startswith(note)


def test_seeds_are_paired_by_their_number():
    def value(cell, metric, side):
        return as_claimed(cell, metric, side) if metric != "acc" else 0.5

    rows = [
        row | {"value": float(row["seed"])} if row["metric"] == "acc" else row
        for row in study_rows(CONFIG, value)
        if (row["metric"], row.get("loss"), row.get("seed")) != ("acc", "dpop", 1)
    ]
    found = make_claims(make_table(rows), CONFIG, {}).set_index("claim_id")
    row = found.loc["S4.7a"].iloc[0]  # equal in every seed that both have
    assert (row["n_seeds"], row["effect"], row["ci_high"]) == (4, 0, 0)


def test_seeds_without_spread_have_the_p_of_their_signs():
    table = Table(make_table(study_rows(CONFIG)), CONFIG, CLAIMS, {})
    row = table.judge("S4.9", "text", [0.8] * 5)
    assert row["p"] == 1 / 16
    assert "no spread" in row["note"]


def test_numbers_are_those_of_the_rows(claims):
    rows = claims.set_index(["claim_id", "setting"])
    fall = rows.loc[("S4.1", "text, one letter edited, rate 0.0003"), "effect"]
    assert fall == pytest.approx(1.0 - 2e-3)
    contrast = rows.loc[("S4.11b", "text, one letter edited"), "effect"]
    assert contrast == pytest.approx(1.0)
