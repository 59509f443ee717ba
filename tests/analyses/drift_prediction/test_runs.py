"""Squeezing and the short training runs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from analyses.drift_prediction import curves, ledger, squeezing, subsets
from analyses.drift_prediction.config import Runs
from analyses.drift_prediction.rows import make_table
from gradlab.gradients import token_weights
from gradlab.losses import resolve


def one(table, metric, **keys):
    rows = table[table["metric"] == metric]
    for column, value in keys.items():
        rows = rows[rows[column] == value]
    return rows["value"].to_numpy()


def test_softmax_rows_obey_the_formula():
    table = make_table(squeezing.tabular_rows(3))
    assert one(table, "formula_error")[0] < 1e-12
    assert one(table, "argmax_fall")[0] < 0
    top = one(table, "top_before")
    assert len(top) == len(one(table, "absorbed")) == squeezing.KEPT
    assert np.all((top > 0) & (top < 1))


def test_pushed_tokens_fall_by_about_a_nat(scene, config):
    table = make_table(squeezing.decoder_rows(scene, config, kind="edits", seed=0))
    fallen = one(table, "log_target")
    assert -1.3 < fallen.mean() < -0.7
    assert len(one(table, "log_top")) == len(fallen) > 0
    assert np.all(one(table, "absorbed") >= 0)


def test_fixed_features_never_entangle_one_token_pairs(scenes, config):
    rows = squeezing.fixed_feature_rows(
        scenes["answers"], config, kind="answers", seed=0
    )
    table = make_table(rows)
    assert np.all(one(table, "entangled") < 0)
    assert np.all(one(table, "own_real", side="chosen") > 0)
    assert np.all(one(table, "own_real", side="rejected") < 0)


@pytest.fixture(scope="module")
def run(scene, config):
    with jax.enable_x64(True):
        return make_table(ledger.ledger_rows(scene, config, kind="edits", seed=0))


def test_ledger_parts_and_residual_add_up_to_the_total(run, config):
    lines = run[run["metric"] == "ledger"].pivot(
        index="step", columns="part", values="value"
    )
    assert len(lines) == config.runs.ledger_steps
    parts = lines[[*ledger.PARTS, "residual"]].sum(axis=1)
    np.testing.assert_allclose(parts, lines["total"], atol=1e-6)
    assert (lines["residual"].abs() < 0.1 * lines["total"].abs()).all()
    assert one(run, "ledger_residual")[0] < 0.1


def test_ledger_follows_optax(run, scene, config):
    """The same run with a plain loop gives the same drift of every pair."""
    optimiser = optax.adamw(config.runs.ledger_rate, weight_decay=ledger.WEIGHT_DECAY)
    params, data = scene.params, scene.kind.pairs
    state, loss = optimiser.init(params), resolve("dpo")

    @jax.jit
    def step(params, state):
        def value(theta):
            chosen, rejected = scene.logps_fn(theta, data)
            return loss(replace(scene.pairs, chosen=chosen, rejected=rejected)).mean()

        change, state = optimiser.update(jax.grad(value)(params), state, params)
        return optax.apply_updates(params, change), state

    for _ in range(config.runs.ledger_steps):
        params, state = step(params, state)
    before, after = (scene.logps_fn(p, data) for p in (scene.params, params))
    for side, name in enumerate(("chosen", "rejected")):
        expected = (after[side] - before[side]).sum(-1)
        found = one(run, "run_drift", side=name)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_subsets_are_trained_from_the_policy(scene, config):
    """Two Adam steps by hand; the first one is a sign step of the learning rate."""
    rows, rate = np.arange(3), 1e-4
    data = scene.kind.pairs.take(rows)
    pairs = replace(jax.tree.map(lambda x: x[rows], scene.pairs), kl_logratios=None)
    found = subsets.train_dpo(scene.logps_fn, scene.params, pairs, data, 1, rate)
    weights = token_weights("dpo", pairs)

    def linear(theta):
        logps = scene.logps_fn(theta, data)
        sides = (weights.chosen, weights.rejected)
        return sum((w * x).sum() for w, x in zip(sides, logps, strict=True)) / 3

    gradient = jax.grad(linear)(scene.params)
    params = jax.tree.map(
        lambda p, g: p - rate * g / (jnp.abs(g) + 1e-8), scene.params, gradient
    )
    before, after = (scene.logps_fn(p, data) for p in (scene.params, params))
    for side in (0, 1):
        expected = (after[side] - before[side]).sum(-1)
        np.testing.assert_allclose(found[side], expected, rtol=1e-6, atol=1e-9)


def test_subsets_go_from_the_lowest_to_the_highest(scene, config, monkeypatch):
    taken = []
    monkeypatch.setattr(
        subsets, "_run", lambda scene, config, rows: taken.append(rows) or [{}]
    )
    small = replace(config, runs=Runs(subset=4))
    ches = np.random.default_rng(0).permutation(16).astype(float)
    found = list(subsets.percentile_rows(scene, small, ches))
    assert [row["percentile"] for row in found] == [0, 25, 50, 75, 100]
    assert sorted(ches[taken[0]]) == [0, 1, 2, 3]
    assert sorted(ches[taken[-1]]) == [12, 13, 14, 15]
    taken.clear()
    list(subsets.lowest_rows(scene, small, ches))
    assert sorted(ches[taken[0]]) == [0, 1, 2, 3]
    assert len(set(taken[1])) == 4


def test_probes_are_what_they_say():
    from analyses.drift_prediction.pair_kinds import word_problems

    made = word_problems(8, 0)
    train, held = made[:4], made[4:]
    probes = curves._probes(train, held, 4, np.random.default_rng(0))
    named = dict(zip(curves.PROBES, probes, strict=True))
    for i, pair in enumerate(train):
        assert named["chosen"][i] == pair
        assert named["rejected"][i].chosen == pair.rejected
        assert named["other_prompt_train"][i].chosen == train[(i + 1) % 4].chosen
        assert sorted(named["permuted"][i].chosen) == sorted(pair.chosen)
        assert len(named["random_tokens"][i].chosen) == len(pair.chosen)
        text = named["irrelevant_text"][i].chosen
        assert text == train[(i + 1) % 4].prompt[1 : 1 + len(text)]
        assert all(named[p][i].prompt == pair.prompt for p in curves.UNRELATED[2:])
    assert named["chosen_heldout"] == held


@pytest.mark.slow
def test_learning_curves_start_at_zero_and_separate_the_sides(config):
    runs = Runs(curve_pairs=8, curve_steps=4, curve_evaluations=3, probes=2, rate=3e-4)
    table = make_table(curves.curve_rows(replace(config, runs=runs), 0))
    wide = table.pivot(index="step", columns="probe", values="value")
    assert list(wide.index) == [0, 2, 4]
    assert set(wide.columns) == set(curves.PROBES)
    assert np.all(wide.loc[0] == 0)
    assert wide["chosen"][4] > wide["rejected"][4]
