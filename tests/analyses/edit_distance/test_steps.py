"""Theory against autodiff, and single steps against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.common.arrays import pair_logps_fn
from analyses.common.record import compile_effort
from analyses.edit_distance import control, one_step, real, theory
from analyses.edit_distance.cells import first_edit
from analyses.edit_distance.config import Config
from analyses.edit_distance.places import places_of
from analyses.edit_distance.runs import at_reference
from analyses.edit_distance.scenes import text_start
from gradlab.gradients.groups import tree_norm
from gradlab.losses import random_pairs, resolve

CONFIG = Config.smoke()


@pytest.fixture
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("_float64")
def test_identities_hold_in_float64():
    rows = {r["metric"]: r["value"] for r in theory.theory_rows(7, draws=2)}
    assert max(rows.values()) < 1e-12
    assert set(rows) == {
        "shared_dpo", "shared_dpop", "shared_at", "placement_error", "tie_error",
        "margin_error",
    }  # fmt: skip


@pytest.mark.usefixtures("_float64")
def test_a_wrong_closed_form_is_noticed(monkeypatch):
    pair = theory.draw_shared(np.random.default_rng(0))
    monkeypatch.setattr(theory, "BETA", 0.31)
    right = theory.shared_errors(pair)["dpo"]
    monkeypatch.setattr(theory, "resolve", lambda loss: resolve("dpo(beta=0.3)"))
    assert right < 1e-12 < theory.shared_errors(pair)["dpo"]


@pytest.mark.usefixtures("_float64")
def test_margin_can_fall_beyond_the_bound_alone():
    lam, cosine = 8.0, 0.9  # the bound is 0.6
    ratio = (2 + lam) * cosine / (2 * (1 + lam))
    s_c, s_r = np.array([ratio, 0]), np.array([cosine, np.sqrt(1 - cosine**2)])
    step = (1 + lam) * s_c - s_r
    assert (s_c - s_r) @ step < 0


def test_the_control_is_the_published_loss_with_one_sign_changed():
    pairs = random_pairs(0, batch=6)
    a, b = control.log_ratios(pairs)
    right = -jax.nn.log_sigmoid(0.3 * (a - b - 5 * jnp.maximum(0, -a)))
    wrong = -jax.nn.log_sigmoid(0.3 * (a - b - 5 * jnp.maximum(0, a)))
    np.testing.assert_allclose(resolve("dpop(lam=5)")(pairs), right, rtol=1e-5)
    np.testing.assert_allclose(control.dpop_sign_error(pairs, lam=5), wrong, rtol=1e-5)


def test_weight_ratios_of_the_placements():
    rows = {(r["loss"], round(r["x"], 4)): r["value"] for r in theory.ratio_rows()}
    assert rows["dpo", -1.0] == pytest.approx(1)
    assert rows["dpop", -1.0] == pytest.approx(51, rel=1e-4)
    assert rows["dpop_inside_nobeta", -1.0] == pytest.approx(1 + 50 / 0.3, rel=1e-4)
    sigmoid = 1 / (1 + np.exp(0.1 * (-1.0 + 2)))
    assert rows["dpop_outside", -1.0] == pytest.approx(1 + 500 / sigmoid, rel=1e-3)
    for loss in theory.PLACEMENTS:
        assert rows[loss, 1.0] == pytest.approx(1)


@pytest.fixture(scope="module")
def scene():
    with compile_effort(quick=True):
        start = text_start(CONFIG, 0, "under")
        pairs = start.pairs(first_edit(CONFIG, "text"))[:8]
        data, logps_fn = start.arrays(pairs), pair_logps_fn(start.model, start.shape[1])
        given = at_reference(logps_fn, start.params, data)
        steps = one_step.take_steps(logps_fn, start.params, data, given, CONFIG)
        yield start, pairs, data, logps_fn, given, steps


def test_a_step_has_its_size_and_its_drift_is_predicted(scene):
    start, _, data, logps_fn, _, steps = scene
    change = jax.tree.map(jnp.subtract, steps.moved, start.params)
    norm, whole = (
        np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(tree)))
        for tree in (change, start.params)
    )
    assert norm == pytest.approx(CONFIG.step * whole, rel=1e-3)
    mask = np.asarray(data.mask(start.shape[1]))
    before, after = (
        np.stack(logps_fn(theta, data)) for theta in (start.params, steps.moved)
    )
    one, two = steps.predicted[0][mask], (after - before)[mask]
    assert np.corrcoef(one, two)[0, 1] > 0.99


def test_a_pairs_own_step_knows_nothing_of_the_others(scene):
    start, _, data, logps_fn, given, steps = scene
    mask = np.asarray(data.mask(start.shape[1]))
    size = CONFIG.step * tree_norm(start.params)
    found = one_step.own_drifts(logps_fn, start.params, data, given, size)
    own, real = (np.asarray(part) for part in found)
    assert np.corrcoef(own[mask], real[mask])[0, 1] > 0.99
    # One rate for all: with half the pairs the drifts of those are a multiple.
    half = jax.tree.map(lambda leaf: leaf[:4], (data, given))
    alone = np.asarray(one_step.own_drifts(logps_fn, start.params, *half, size)[0])
    ratio = np.linalg.norm(alone) / np.linalg.norm(own[:, :4])
    np.testing.assert_allclose(alone, ratio * own[:, :4], atol=1e-6)
    assert np.corrcoef(own[mask], steps.predicted[0][mask])[0, 1] < 0.99


def test_wrong_way_scores_compare_the_same_token(scene):
    start, pairs, _, _, given, steps = scene
    places = places_of(pairs, start.shape[1])
    scores = one_step.wrong_way(steps.logps, places)
    expected = []
    for number, pair in enumerate(pairs):
        first = next(
            t for t, (c, r) in enumerate(zip(pair.chosen, pair.rejected, strict=True))
            if c != r
        )  # fmt: skip
        for t in range(first + 1, len(pair.chosen)):
            sides = (given.chosen[number, t], given.rejected[number, t])
            p_c, p_r = (float(jnp.exp(side)) for side in sides)
            expected.append(p_c - p_r)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_rows_of_single_steps(scene):
    rows = list(one_step.synthetic_rows(CONFIG, "text", 0))
    metrics = {r["metric"] for r in rows}
    assert {"ww_pred", "ww_real", "rho_ches", "token_ww", "pred_after"} <= metrics
    shown = [r for r in rows if r["metric"] == "token_ww"]
    assert 0 < len(shown) <= CONFIG.shown_tokens


def test_real_kinds_without_their_files_are_named():
    found = real.missing(CONFIG, None)
    assert set(real.real_kinds(CONFIG)) < set(found)
    assert found[real.OTHER].startswith("opt-in")


@pytest.mark.slow
def test_one_step_on_real_pairs(shared):
    with compile_effort(quick=True):
        rows = list(real.real_rows(CONFIG, "persona", 0, shared / "data"))
    values = {r["metric"]: r["value"] for r in rows}
    assert values["ww_tokens"] == 0  # one word each: nothing comes after
    assert "pred_at" in values
