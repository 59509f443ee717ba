"""The study as a whole, and what is committed of it."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from analyses.__main__ import TABLES, run
from analyses.self_imitation import Config
from analyses.self_imitation.verdicts import make_claims
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table

TABLE = TABLES / "self_imitation.csv"


@pytest.mark.slow
def test_smoke_writes_table_claims_and_manifest(tmp_path):
    path = run("self_imitation", "smoke", tmp_path)
    check_study_table(read_table(path))
    claims = read_table(tmp_path / "self_imitation_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert set(decided["type"]) == {"X"}  # one seed decides identities only
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["dtype"].startswith("float64")


def test_the_committed_claims_follow_from_the_committed_table():
    table = read_table(TABLE)
    committed = read_table(TABLES / "self_imitation_claims.csv")
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    config = Config()
    assert manifest["config"] == json.loads(json.dumps(asdict(config)))
    fresh = make_claims(table, config, manifest["skipped"])
    assert list(fresh["verdict"]) == list(committed["verdict"])
    np.testing.assert_allclose(fresh["effect"], committed["effect"], rtol=1e-6)
    np.testing.assert_allclose(fresh["boot_low"], committed["boot_low"], rtol=1e-6)
