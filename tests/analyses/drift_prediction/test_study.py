"""The study as a whole, and what is committed of it."""

import json
from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.__main__ import TABLES, main, run
from analyses.drift_prediction import Config
from analyses.drift_prediction.config import KINKED
from analyses.drift_prediction.verdicts import make_claims
from gradlab.gradients import token_weights
from gradlab.losses import random_pairs
from gradlab.tables import CLAIM_COLUMNS, check_study_table, read_table

TABLE = TABLES / "drift_prediction.csv"


@pytest.mark.slow
def test_smoke_writes_table_claims_and_manifest(tmp_path):
    path = run("drift_prediction", "smoke", tmp_path)
    check_study_table(read_table(path))
    claims = read_table(tmp_path / "drift_prediction_claims.csv")
    assert tuple(claims.columns) == CLAIM_COLUMNS
    decided = claims[claims["verdict"].isin(["reproduced", "contradicted"])]
    assert set(decided["type"]) == {"X"}  # one seed decides identities only
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["dtype"].startswith("float64")


def test_the_committed_claims_follow_from_the_committed_table():
    table, committed = (
        read_table(TABLE),
        read_table(TABLES / "drift_prediction_claims.csv"),
    )
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    config = Config()
    assert manifest["config"] == json.loads(json.dumps(asdict(config)))
    fresh = make_claims(table, config, manifest["skipped"])
    assert list(fresh["verdict"]) == list(committed["verdict"])
    np.testing.assert_allclose(fresh["effect"], committed["effect"], rtol=1e-6)
    np.testing.assert_allclose(fresh["boot_low"], committed["boot_low"], rtol=1e-6)


def test_verdicts_are_listed(capsys):
    main()
    listed = capsys.readouterr().out
    for claim in ("S6.0", "S6.8", "S6.13"):
        assert f"  {claim} " in listed


@pytest.mark.parametrize("loss", Config().losses)
def test_losses_with_kinks_are_those_whose_weights_jump(loss):
    """Along segments of log-probabilities, ten times finer.

    The largest change of the weights between neighbours shrinks tenfold if they are
    continuous, and stays where they jump. One segment leads from a chosen side far
    below the reference and a rejected one far above it to the reverse, the other
    between two policies near the reference, where ranks and penalties change.
    """
    pairs, near = (random_pairs(seed, batch=4) for seed in (1, 2))
    here, there = (pairs.chosen, pairs.rejected), (near.chosen, near.rejected)
    far = [(6 * here[0], 0.1 * here[1]), (0.1 * here[0], 6 * here[1])]

    def largest_change(ends, points: int) -> float:
        def at(t):
            chosen, rejected = (a + t * (b - a) for a, b in zip(*ends, strict=True))
            given = replace(pairs, chosen=chosen, rejected=rejected)
            found = token_weights(loss, given)
            return jnp.concatenate([found.chosen, found.rejected], axis=-1)

        table = jax.vmap(at)(jnp.linspace(0, 1, points))
        return float(jnp.abs(jnp.diff(table, axis=0)).max())

    jumps = False
    for ends in (far, (here, there)):
        fine, coarse = (largest_change(ends, points) for points in (4001, 401))
        jumps |= fine > 0.5 * coarse > 0
    assert jumps == (loss.partition("(")[0] in KINKED)
