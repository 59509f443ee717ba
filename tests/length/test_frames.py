"""The tables of `gradlab length` from hand-made scores, against closed forms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gradlab.comparison.weighing import weigh
from gradlab.inputs.scored import ScoredPairs, ScoredSide
from gradlab.length.frames import pair_frame, reads_reference, summary_frame
from gradlab.losses import random_pairs, resolve

LOSSES = ("mle", "dpo(beta=0.2)", "averaged_dpo", "simpo", "rdpo")


def side(rng, lengths):
    width = max(lengths)
    mask = np.arange(width) < np.array(lengths)[:, None]
    logps = np.where(mask, -rng.exponential(1, mask.shape), 0).astype(np.float32)
    ref = np.where(mask, logps - 0.3 * rng.random(mask.shape), 0)
    return ScoredSide(
        ids=np.zeros(mask.shape, np.int32),
        mask=mask,
        logps=logps,
        ref_logps=ref.astype(np.float32),
        entropy=logps,
        log_sum_sq=logps,
        max_logp=logps,
        argmax=np.zeros(mask.shape, np.int32),
    )


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    one, two = rng.integers(1, 20, size=(2, 30))
    return ScoredPairs(side(rng, one), side(rng, two), rows=np.arange(1, 31))


@pytest.fixture(scope="module")
def weighed(scored):
    return weigh(scored, [resolve(name) for name in LOSSES])


@pytest.fixture(scope="module")
def frame(scored, weighed):
    return pair_frame(scored, weighed, padding=4, seed=0)


@pytest.fixture(scope="module")
def summary(frame, weighed):
    return summary_frame(frame, weighed, draws=200, seed=0).set_index("loss")


def test_one_row_per_loss_and_pair(frame, scored):
    assert len(frame) == len(LOSSES) * 30
    assert not frame.duplicated(["loss", "pair"]).any()
    own = frame[frame["loss"] == "dpo(beta=0.2)"]
    h = (scored.chosen.logps - scored.chosen.ref_logps).sum(1)
    h = h - (scored.rejected.logps - scored.rejected.ref_logps).sum(1)
    np.testing.assert_allclose(own["margin"], h, rtol=1e-4, atol=1e-5)
    slope = 0.2 / (1 + np.exp(0.2 * own["margin"]))
    np.testing.assert_allclose(own["slope"], slope, rtol=1e-9)
    for name in ("chosen", "rejected"):
        np.testing.assert_allclose(own[f"weight_{name}"], own["slope"], rtol=1e-9)
        np.testing.assert_allclose(own[f"neutral_{name}"], 0, atol=1e-12)


def test_averaged_losses_are_known_and_measured_per_token(frame):
    kinds = frame.groupby("loss")[["averaged", "reference"]].first()
    assert kinds["averaged"].to_dict() == {
        name: name in ("averaged_dpo", "simpo") for name in LOSSES
    }
    assert not kinds.loc["simpo", "reference"]
    own = frame[frame["loss"] == "averaged_dpo"]
    for name in ("chosen", "rejected"):
        np.testing.assert_allclose(own[f"mass_{name}"], own["slope"], rtol=1e-9)
        np.testing.assert_allclose(own[f"typical_{name}"], 0, atol=1e-12)
    np.testing.assert_allclose(own["margin"], own["token_gap"], rtol=1e-12)


def test_summary_says_how_mass_follows_length(summary):
    assert summary.loc["dpo(beta=0.2)", "mass_exponent"] == pytest.approx(1)
    assert summary.loc["averaged_dpo", "mass_exponent"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(summary.loc["mle", "mass_exponent"])  # no mass on the rejected side
    assert np.isnan(summary.loc["mle", "rho_slope"])  # constant
    assert np.isnan(summary.loc["simpo", "r2_length"])  # no reference
    rho = summary["rho_mass_length"]
    assert rho["dpo(beta=0.2)"] > rho["averaged_dpo"]
    low, high = summary["rho_margin_low"], summary["rho_margin_high"]
    known = summary["rho_margin"].notna()
    assert (low[known] < high[known]).all()
    assert (low[known] <= summary["rho_margin"][known]).all()
    own = summary.loc["dpo(beta=0.2)"]
    assert own["r2_length"] == pytest.approx(summary.loc["rdpo", "r2_length"])


def test_r_squared_is_that_through_the_origin(frame, summary):
    own = frame[frame["loss"] == "dpo(beta=0.2)"]
    m, gap = own["margin"].to_numpy(), own["length_gap"].to_numpy(float)
    expected = (m @ gap) ** 2 / ((m @ m) * (gap @ gap))
    assert summary.loc["dpo(beta=0.2)", "r2_length"] == pytest.approx(expected)


def test_equal_lengths_have_no_correlations(scored):
    same = replace(scored, rejected=replace(scored.chosen))
    same = replace(same, rejected=replace(same.rejected, logps=same.rejected.logps * 2))
    weighed = weigh(same, [resolve("dpo")])
    table = summary_frame(
        pair_frame(same, weighed, padding=2, seed=0), weighed, draws=50, seed=0
    )
    empty = ["rho_margin", "rho_margin_partial", "rho_slope", "mass_exponent"]
    assert table[empty].isna().all(axis=None)
    assert pd.notna(table["rho_mass_length"]).all()


def plain(pairs):
    return (pairs.rejected * pairs.rejected_mask).sum(-1)


def against_reference(pairs):
    return ((pairs.ref_chosen - pairs.chosen) * pairs.chosen_mask).sum(-1)


def test_a_users_loss_is_tried_out():
    pairs = random_pairs(0)
    assert not reads_reference(resolve(plain), pairs)
    assert reads_reference(resolve(against_reference), pairs)
    assert not reads_reference(resolve("simpo"), pairs)
    assert reads_reference(resolve("dpo+mle"), pairs)
