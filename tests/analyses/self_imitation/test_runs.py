"""Runs of a tiny decoder: what is shared, what stands still, what is counted."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.record import compile_effort
from analyses.self_imitation.chains import PROMPT, true_chains
from analyses.self_imitation.config import Config
from analyses.self_imitation.policy import make_scene
from analyses.self_imitation.runs import Play, pair_rows, play_rows, plays


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with compile_effort(quick=True):
        yield


@pytest.fixture(scope="module")
def scene():
    return make_scene(Config.smoke().runs, 0)


def values(rows, metric):
    return [line["value"] for line in rows if line["metric"] == metric]


def test_prompts_are_all_there_are(scene):
    assert len({tuple(row) for row in scene.prompts}) == 100
    assert scene.prompts.shape[1] == PROMPT
    assert true_chains(scene.demonstrations, 10).all()


def test_samples_have_the_prompts_and_their_log_probabilities(scene):
    texts, logps = scene.first_samples
    np.testing.assert_array_equal(texts[:, :PROMPT], scene.demonstrations[:, :PROMPT])
    pairs = scene.pairs(texts, texts)
    chosen, _ = scene.logps_fn(scene.params, pairs)
    np.testing.assert_allclose(chosen.sum(-1), logps, rtol=1e-4)
    assert np.unique(scene.sampled(scene.params, 1)[0], axis=0).shape != (1,)
    greedy = [scene.continued(scene.params, scene.prompts, None)[0] for _ in range(2)]
    np.testing.assert_array_equal(*greedy)


def test_nothing_moves_without_a_rate(scene):
    rows = list(play_rows(scene, Play("lm", "bernoulli", 0.0, 0.1)))
    for side in ("chosen", "rejected"):
        np.testing.assert_allclose(values(rows, f"d_{side}_sum"), 0, atol=1e-5)
    before, after = values(rows, "kl_data_policy")
    assert before == pytest.approx(after, abs=1e-6)


def test_margins_grow(scene):
    rows = list(play_rows(scene, Play("lm scale", "bernoulli", 3e-3, 1.0, 0.5)))
    chosen, rejected = (values(rows, f"d_{s}_sum")[-1] for s in ("chosen", "rejected"))
    assert chosen > rejected
    assert {line["target_nat"] for line in rows} == {-0.5}
    assert values(rows, "acc") == []
    moved = list(play_rows(scene, Play("lm scale", "bernoulli", 3e-3, 1.0, 2.0)))
    assert values(moved, "d_chosen_sum")[-1] < chosen


def test_a_run_at_the_source_is_measured_from_its_start(scene):
    rows = list(play_rows(scene, Play("lm source", "bernoulli", 0.0, 0.1)))
    assert values(rows, "kl_data_policy") == [pytest.approx(0, abs=1e-5)]


def test_corrupted_pairs_are_told_apart(scene):
    fast = replace(scene, settings=replace(scene.settings, rate=3e-3))
    rows = list(pair_rows(fast, "dpo"))
    assert values(rows, "d_chosen_sum")[-1] > values(rows, "d_rejected_sum")[-1]


def test_every_run_has_its_own_keys():
    made = list(plays(Config()))
    keys = {tuple(play.keys.values()) for play in made}
    assert len(keys) == len(made)
    parts = {play.part for play in made}
    assert parts == {"lm", "lm own rate", "lm scale", "lm source"}
