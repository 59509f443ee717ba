"""From a table to verdicts: made-up tables whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.preference_pipeline.config import Config
from analyses.preference_pipeline.ledger_of_claims import CLAIMS
from analyses.preference_pipeline.utility_verdicts import LOW, PAIR, RULES
from analyses.preference_pipeline.verdicts import make_claims, quadratic
from tests.analyses.preference_pipeline.made_up import made_up_table

CONFIG = replace(Config(), draws=50)


@pytest.fixture(scope="module")
def holding():
    return make_claims(made_up_table(CONFIG), CONFIG, {})


@pytest.fixture(scope="module")
def failing():
    return make_claims(made_up_table(CONFIG, holds=False), CONFIG, {})


def verdicts(claims, claim: str, setting: str = "") -> set[str]:
    rows = claims[claims["claim_id"] == claim]
    rows = rows[rows["setting"].str.contains(setting, regex=False)]
    assert len(rows), (claim, setting)
    return set(rows["verdict"])


def test_every_claim_has_a_verdict(holding, failing):
    for claims in (holding, failing):
        assert set(claims["claim_id"]) == set(CLAIMS)
        assert (claims["verdict"] != "").all()


@pytest.mark.parametrize(
    ("claim", "holds", "fails"),
    [
        ("S3.1a", "reproduced", "contradicted"),
        ("S3.1b", "reproduced", "contradicted"),
        ("S3.1c", "reproduced", "contradicted"),
        ("S3.1d", "contradicted", "contradicted"),
        ("S3.2a", "reproduced", "contradicted"),
        ("S3.2b", "reproduced", "contradicted"),
        ("S3.3", "reproduced", "contradicted"),
        ("S3.3a", "reproduced", "contradicted"),
        ("S3.4", "reproduced", "contradicted"),
        ("S3.6", "not testable", "not testable"),
        ("S3.6a", "reproduced", "contradicted"),
        ("S3.7a", "reproduced", "contradicted"),
        ("S3.7b", "reproduced", "contradicted"),
        ("S3.8", "reproduced", "contradicted"),
        ("S3.9a", "reproduced", "contradicted"),
        ("S3.9b", "reproduced", "contradicted"),
        ("S3.10a", "reproduced", "contradicted"),
        ("S3.10b", "reproduced", "contradicted"),
    ],
)
def test_verdicts(holding, failing, claim, holds, fails):
    # On other bases also a budget of 8 nats is judged: made up, it is too much.
    setting = "delta 2" if claim == "S3.3a" else ""
    assert verdicts(holding, claim, setting) == {holds}
    assert fails in verdicts(failing, claim)
    assert verdicts(failing, claim) <= {fails, "inconclusive"}


def test_a_budget_that_dpo_keeps_by_itself_is_not_tested(holding, failing):
    """DPO falls by ten nats: budgets up to eight are exceeded, none above 9.1."""
    assert verdicts(holding, "S3.5", "delta 8") == {"reproduced"}
    assert verdicts(failing, "S3.5", "delta 8") == {"contradicted"}
    runs = replace(
        CONFIG.runs, deltas=(0.0, 1.0, 2.0, 4.0, 12.0), plane_deltas=(2.0, 12.0)
    )
    config = replace(CONFIG, runs=runs)
    claims = make_claims(made_up_table(config), config, {})
    assert verdicts(claims, "S3.5", "delta 12") == {"not testable"}
    notes = claims[claims["setting"] == "bcr_inside(base=ipo), delta 12"]["note"]
    assert notes.str.startswith("ipo itself stays within it").any()


def test_every_base_is_judged_in_both_forms(holding):
    for claim in ("S3.5", "S3.7b"):
        settings = set(holding[holding["claim_id"] == claim]["setting"])
        for base in CONFIG.runs.other_bases:
            for form in ("bcr_added", "bcr_inside"):
                for delta in (2, 8):
                    assert f"{form}(base={base.spec}), delta {delta}" in settings


def test_delta_star_comes_from_the_tuning_seeds(holding):
    """There utility is best at a fall of 2; lambda lets .06 nats through."""
    notes = holding[holding["claim_id"] == "S3.3"]["note"]
    assert notes.str.startswith("delta* = 2 nats; its weaker lead there +0.0").all()


@pytest.mark.parametrize("claim", ["S3.3", "S3.3a", "S3.6a"])
def test_rankings_are_judged_under_every_matching_rule(holding, claim):
    rows = holding[holding["claim_id"] == claim]
    counts = rows["matching_rule"].value_counts()
    assert set(counts.index) == set(RULES)
    assert counts.nunique() == 1


def test_two_ends_are_read_off_the_paths(holding):
    """A run that went twice as far for its utility had less of it on the way."""
    table = made_up_table(CONFIG)
    free = (table["loss"] == "dpo") & (table["part"] == "delta")
    table.loc[free & (table["metric"] == "kl"), "value"] = 4.0
    table.loc[free & (table["metric"] == "utility"), "value"] = 0.9
    claims = make_claims(table, CONFIG, {})
    found = claims[claims["claim_id"] == "S3.3"].set_index("setting")
    # Free, .7 where the budget of two nats ends; at 0 nothing changed.
    for form in ("bcr_added", "bcr_inside"):
        note = str(found.loc[f"{form}, {PAIR}", "note"])
        assert "over no budget: 0.1" in note
        assert "over no budget: 0.1" not in str(found.loc[f"{form}, {LOW}", "note"])


def test_the_increase_is_over_no_distortion(holding):
    """Made up: .4 strength - .1 for regret, so that .1 too little is there before."""
    rows = holding[holding["claim_id"] == "S3.1a"].set_index("setting")
    setting = "drift, strength 0.5, scores' tail up"
    assert rows.loc[setting, "effect"] == pytest.approx(0.1, abs=1e-3)
    assert rows.loc[setting, "note"] == "without distortion -0.1"
    assert rows.loc[f"{setting}, increase", "effect"] == pytest.approx(0.2)


def test_the_threshold_is_that_of_the_worst_step(holding):
    notes = holding[holding["claim_id"] == "S3.7b"]["note"]
    threshold = "first-order threshold 0.2 to 0.2 of the unit"
    assert set(notes) == {f"over {count} strengths; {threshold}" for count in (3, 7)}


def test_scores_are_read_at_as_many_calls(holding):
    rows = holding[holding["claim_id"] == "S3.2a"].set_index("setting")
    swiss = rows.loc["noise 0.5, Swiss, scores' tail up"]
    assert swiss["effect"] == pytest.approx(0.2, abs=1e-6)
    assert swiss["note"] == "16 calls"


def test_parts_without_rows_are_skipped_with_the_reason():
    table = made_up_table(CONFIG)
    table = table[~table["part"].isin(["delta", "lambda", "grid", "control", "plane"])]
    claims = make_claims(table, CONFIG, {"S3.3": "the time limit was reached first"})
    for claim in ("S3.3", "S3.3a", "S3.4", "S3.5", "S3.6a", "S3.7b", "S3.8"):
        assert verdicts(claims, claim) == {"skipped"}
    notes = claims[claims["claim_id"] == "S3.3"]["note"]
    assert notes.str.contains("time limit").all()


def test_a_parabola_and_a_line_are_told_apart():
    x = np.linspace(-5, 1, 13)
    noise = 0.01 * np.cos(9 * x)
    curve, inside, gain = quadratic(np.stack([x, -((x + 2) ** 2) + noise], axis=1))
    assert curve < 0
    assert inside
    assert gain > 2
    _, _, gain = quadratic(np.stack([x, x + noise], axis=1))
    assert gain < 2
    _, inside, _ = quadratic(np.stack([x, (x - 9) ** 2 + noise], axis=1))
    assert not inside
    assert np.isnan(quadratic(np.ones((5, 2)))[0])
