"""From a table to verdicts: a made-up table whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.rows import per_pair, row
from analyses.drift_prediction.config import Config, Runs
from analyses.drift_prediction.curves import UNRELATED
from analyses.drift_prediction.ledger_of_claims import CLAIMS
from analyses.drift_prediction.rows import make_table
from analyses.drift_prediction.verdicts import _null_peak, make_claims

SEEDS = range(5)
CONFIG = replace(
    Config(),
    kinds=("edits", "hh"),
    losses=("dpo", "hinge"),
    some_losses=("dpo",),
    draws=100,
    runs=Runs(percentiles=(0, 50, 100)),
)


def rows_of_seed(seed: int):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(6, 30))
    keys = {"kind": "edits", "seed": seed}
    for eta, pearson in zip(CONFIG.steps, (0.97, 0.999), strict=True):
        yield row("pearson", pearson + 1e-4 * seed, loss="dpo", eta=eta, **keys)
        yield row("pearson", 0.5 + 1e-4 * seed, loss="hinge", eta=eta, **keys)
    for metric, slope in (
        ("rel_err", 1), ("trap_err", 2), ("residual", 2), ("trap_residual", 3.1)
    ):  # fmt: skip
        yield row(f"slope_{metric}", slope, loss="dpo", optimiser="sgd", **keys)
    ches, drift = noise[0], -noise[0] + 0.2 * noise[1]
    yield from per_pair("ches", ches, **keys)
    yield from per_pair("edit_norm", noise[2], **keys)
    yield from per_pair("last_cosine", noise[3], **keys)
    yield from per_pair("own_real", drift, side="chosen", **keys)
    for percentile in CONFIG.runs.percentiles:
        given = {**keys, "part": "ches", "percentile": percentile, "side": "chosen"}
        yield row("subset_drift", -percentile, **given)
    yield row("sign_errors", 0, loss="dpo", **keys)
    yield row("signs_compared", 40, loss="dpo", **keys)
    yield from per_pair("kappa_c", noise[4], **keys, loss="dpo")
    yield from per_pair("run_drift", noise[4], side="chosen", **keys)
    yield from per_pair("score_rejected", np.full(30, 2.0), **keys)
    yield from per_pair("score_chosen", np.ones(30), **keys)
    yield from per_pair("case", np.where(np.arange(30) < 12 + seed, 2, 3), **keys)
    yield from per_pair(
        "self_share", np.full(30, 0.2 + 0.01 * seed), optimiser="sgd", **keys
    )
    yield row("argmax_fall", -0.1, seed=seed, part="tabular")
    yield row("formula_error", 1e-15, seed=seed, part="tabular")
    yield row("ledger_residual", 0.02 + 0.001 * seed, **keys)
    yield row("top_share", 0.3 + 0.01 * seed, loss="dpo", **keys)
    yield row("top_share_null", 0.2, loss="dpo", **keys)
    for step, value in enumerate((0.0, 2.0 + 0.01 * seed, 1.0, 0.5)):
        given = {"kind": "arithmetic", "seed": seed, "step": step}
        yield row("probe_drift", value, probe="chosen", **given)
        for probe in ("rejected", *UNRELATED):
            yield row("probe_drift", -step, probe=probe, **given)


@pytest.fixture(scope="module")
def claims():
    rows = [line for seed in SEEDS for line in rows_of_seed(seed)]
    ends = {"min_pearson_low": 0.96, "min_pearson_high": 0.98}
    rows += [
        row(metric, value, kind="edits", eta=CONFIG.steps[0])
        for metric, value in ends.items()
    ]
    return make_claims(make_table(rows), CONFIG, {"hh": "optional data absent: hh"})


def found(claims, claim, setting="edits"):
    rows = claims[
        (claims["claim_id"] == claim) & claims["setting"].str.startswith(setting)
    ]
    assert len(rows), (claim, setting)
    return rows.iloc[0]


def test_every_claim_has_a_verdict(claims):
    assert set(claims["claim_id"]) == set(CLAIMS)
    assert (claims["verdict"] != "").all()


@pytest.mark.parametrize(
    ("claim", "setting", "verdict"),
    [
        ("S6.0", "edits, step 0.0001", "contradicted"),
        ("S6.0", "edits, step 1e-05", "reproduced"),
        ("S6.0k", "edits, step 1e-05", "contradicted"),
        ("S6.1", "edits", "inconclusive"),
        ("S6.2a", "edits", "reproduced"),
        ("S6.2b", "edits", "reproduced"),
        ("S6.2c", "edits", "reproduced"),
        ("S6.3a", "edits", "reproduced"),
        ("S6.3b", "edits", "contradicted"),
        ("S6.4", "edits", "inconclusive"),
        ("S6.6a", "softmax", "reproduced"),
        ("S6.7", "arithmetic", "reproduced (one model)"),
        ("S6.8", "edits", "reproduced"),
        ("S6.11", "length", "skipped"),
        ("S6.12", "edits", "reproduced"),
        ("S6.13", "edits", "reproduced"),
    ],
)
def test_verdicts(claims, claim, setting, verdict):
    assert found(claims, claim, setting)["verdict"] == verdict


def test_numbers_are_those_of_the_rows(claims):
    plain = found(claims, "S6.0", "edits, step 0.0001")
    assert plain["effect"] == pytest.approx(-0.02 + 2e-4)
    assert (plain["boot_low"], plain["boot_high"]) == pytest.approx((-0.03, -0.01))
    assert found(claims, "S6.1")["effect"] == pytest.approx(0.1)
    assert found(claims, "S6.8")["effect"] == pytest.approx(0.5 - 0.22)
    assert found(claims, "S6.13")["effect"] == pytest.approx(0.1 - 0.022)
    assert "200 signs compared" in found(claims, "S6.3a")["note"]


def test_absent_kinds_are_skipped_with_the_reason(claims):
    rows = claims[claims["setting"].str.startswith("hh")]
    assert set(rows["verdict"]) == {"skipped"}
    assert set(rows["note"].str.split("; ").str[-1]) == {"optional data absent: hh"}
    unmeasured = found(claims, "S6.5a", "suffix")
    assert (unmeasured["verdict"], unmeasured["note"]) == (
        "skipped", "not part of this size"
    )  # fmt: skip


def test_null_of_the_peak_is_that_of_shuffled_steps():
    """Steps 1, -1 in random order: peak to final is 1 or 0, each half of the time."""
    assert _null_peak(np.array([0.0, 1.0, 0.0])) == pytest.approx(0.5, abs=0.06)
    assert _null_peak(np.array([0.0, 1.0, 2.0])) == 0
