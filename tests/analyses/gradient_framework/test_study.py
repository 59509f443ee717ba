"""The study as a whole, and what is committed of it."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from analyses.__main__ import TABLES, run
from analyses.gradient_framework import CLAIMS, Config
from analyses.gradient_framework.verdicts import make_claims
from gradlab.losses import resolve
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table

TABLE = TABLES / "gradient_framework.csv"


@pytest.mark.slow
def test_smoke_writes_table_claims_and_manifest(tmp_path):
    path = run("gradient_framework", "smoke", tmp_path)
    check_study_table(read_table(path))
    claims = read_table(tmp_path / "gradient_framework_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    assert set(claims["claim_id"]) == set(CLAIMS)
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert set(decided["type"]) == {"X"}  # one seed decides identities only
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["dtype"].startswith("float64")


def test_the_committed_claims_follow_from_the_committed_table():
    if not TABLE.is_file():
        pytest.skip("the standard table isn't there")
    table = read_table(TABLE)
    committed = read_table(TABLES / "gradient_framework_claims.csv")
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    assert manifest["config"] == json.loads(json.dumps(asdict(Config())))
    fresh = make_claims(table, Config(), manifest["skipped"])
    assert list(fresh["verdict"]) == list(committed["verdict"])
    np.testing.assert_allclose(fresh["effect"], committed["effect"], rtol=1e-6)


@pytest.mark.parametrize("size", ["smoke", "standard", "full"])
def test_settings_name_losses_that_exist(size):
    config = Config() if size == "standard" else getattr(Config, size)()
    for loss in (
        *config.losses, *config.some_losses, *config.size_losses, *config.real_losses,
        *config.tabular_losses, *config.condition_losses,
        *(loss for stage in config.stages for loss in stage),
    ):  # fmt: skip
        resolve(loss)
    assert set(config.slower) <= set(Config().losses)
    assert config.steps % config.segment == 0


def test_full_is_larger():
    standard, full = Config(), Config.full()
    assert len(full.seeds) == 10
    assert len(standard.seeds) == 5
    assert len(full.others) == 11
    for name in ("layers", "width", "pairs", "steps", "held", "real_pairs"):
        assert getattr(full, name) > getattr(standard, name)


def test_losses_that_claims_compare_have_one_rate():
    config = Config()
    likelihood = [loss for loss in config.losses if "mate" in loss or "mle" in loss]
    rates = {config.rate_of(loss) for loss in likelihood if not loss.startswith("mate")}
    assert rates == {config.rate}
