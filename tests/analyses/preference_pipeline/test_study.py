"""The study as a whole, and what is committed of it."""

import json
from dataclasses import asdict

import numpy as np

from analyses.__main__ import TABLES, run
from analyses.preference_pipeline import CLAIMS, Config
from analyses.preference_pipeline.verdicts import make_claims
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table

TABLE = TABLES / "preference_pipeline.csv"


def test_smoke_writes_table_claims_and_manifest(tmp_path):
    path = run("preference_pipeline", "smoke", tmp_path)
    check_study_table(read_table(path))
    claims = read_table(tmp_path / "preference_pipeline_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    assert set(claims["claim_id"]) == set(CLAIMS)
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert decided.empty  # one seed decides nothing
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["skipped"] == {}


def test_the_committed_claims_follow_from_the_committed_table():
    table = read_table(TABLE)
    committed = read_table(TABLES / "preference_pipeline_claims.csv")
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    config = Config()
    assert manifest["config"] == json.loads(json.dumps(asdict(config)))
    fresh = make_claims(table, config, manifest["skipped"])
    assert list(fresh["verdict"]) == list(committed["verdict"])
    np.testing.assert_allclose(fresh["effect"], committed["effect"], rtol=1e-6)


def test_the_full_size_is_larger():
    full, standard = Config.full(), Config()
    assert len(full.seeds) == 10
    assert full.task.layers > standard.task.layers
    assert full.runs.steps == full.runs.stops[-1] > standard.runs.steps
