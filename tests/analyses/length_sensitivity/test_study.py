"""The study as a whole."""

import jax
import numpy as np
import pytest

from analyses.__main__ import run
from analyses.length_sensitivity import identities
from analyses.length_sensitivity.config import Config
from analyses.length_sensitivity.rows import make_table
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table


@pytest.mark.slow
def test_smoke_writes_table_claims_and_manifest(tmp_path):
    path = run("length_sensitivity", "smoke", tmp_path)
    check_study_table(read_table(path))
    claims = read_table(tmp_path / "length_sensitivity_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert set(decided["type"]) == {"X"}  # one seed decides identities only
    assert set(decided["verdict"]) == {"reproduced"}


def test_identities_hold_in_float64():
    config = Config.smoke()
    with jax.enable_x64(True):
        rows = list(identities.identity_rows(config, 7))
    table = make_table(rows)
    errors = table[table["metric"] == "error"]
    assert set(errors["quantity"]) == {"S2.1a", "S2.5", "S2.6", "S2.12a"}
    assert errors["value"].max() < 1e-12
    spread = table[table["metric"] == "first_margin_spread"]["value"]
    assert np.abs(spread - 1).mean() < 0.2  # 200 draws


def test_even_pairs_have_the_margin_asked_for():
    pairs = identities.even_pairs([2, 5], [5, 1], total=1.0, width=5)
    ratio = (pairs.chosen - pairs.ref_chosen).sum(1)
    other = (pairs.rejected - pairs.ref_rejected).sum(1)
    np.testing.assert_allclose(ratio - other, 1.0, rtol=1e-6)
    np.testing.assert_array_equal(pairs.chosen_keep.sum(1), [2, 1])
