"""The study as a whole, and what is committed of it."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from analyses.__main__ import TABLES, main, run
from analyses.edit_distance import CLAIMS, Config
from analyses.edit_distance.cells import losses_of
from analyses.edit_distance.rows import SIGN_ERROR_LABEL
from analyses.edit_distance.verdicts import make_claims
from gradlab.errors import GradlabError
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table, select

TABLE = TABLES / "edit_distance.csv"
MINE = "tests.analyses.edit_distance.test_runs:my_loss"


@pytest.mark.slow
def test_smoke_with_a_users_loss_writes_table_claims_and_manifest(tmp_path):
    path = run("edit_distance", "smoke", tmp_path, losses=(MINE,))
    table = read_table(path)
    check_study_table(table)
    assert {MINE, SIGN_ERROR_LABEL} <= set(table["loss"])
    claims = read_table(tmp_path / "edit_distance_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    assert set(claims["claim_id"]) == set(CLAIMS)
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert set(decided["type"]) == {"X"}  # one seed decides identities only
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["config"]["extra_losses"] == [MINE]


def test_the_full_size_is_larger():
    full, usual = Config.full(), Config()
    assert len(full.seeds) == 10
    assert full.text.layers > usual.text.layers
    assert full.text_runs.steps > usual.text_runs.steps
    assert set(losses_of(full)) == set(losses_of(usual))


def test_a_study_that_takes_no_further_losses_says_so(tmp_path):
    with pytest.raises(GradlabError, match="gradient_comparison takes no"):
        run("gradient_comparison", "smoke", tmp_path, losses=("dpo",))


def test_the_committed_claims_follow_from_the_committed_table():
    table = read_table(TABLE)
    committed = read_table(TABLES / "edit_distance_claims.csv")
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    config = Config()
    assert manifest["config"] == json.loads(json.dumps(asdict(config)))
    fresh = make_claims(table, config, manifest["skipped"])
    assert list(fresh["verdict"]) == list(committed["verdict"])
    np.testing.assert_allclose(fresh["effect"], committed["effect"], rtol=1e-6)


def test_the_committed_run_is_one_of_a_policy_that_solves_its_problems():
    table = read_table(TABLE)
    starts = select(table, metric="acc_start")
    assert len(starts) == len(Config().seeds)
    assert np.all(starts["value"].to_numpy(float) >= 0.9)


def test_verdicts_are_listed(capsys):
    main()
    listed = capsys.readouterr().out
    for claim in ("S4.1", "S4.5a", "S4.13"):
        assert f"  {claim} " in listed
