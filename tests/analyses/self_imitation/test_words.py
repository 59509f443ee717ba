"""Word problems: what is drawn and written, and a tiny decoder's self-play on them."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.record import compile_effort
from analyses.self_imitation.config import Config
from analyses.self_imitation.runs import Play
from analyses.self_imitation.word_runs import word_plays, word_rows
from analyses.self_imitation.words import make_word_scene
from gradlab.data.arithmetic import solution
from gradlab.training.generate import Continuation

SETTINGS = Config.smoke().words


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with compile_effort(quick=True):
        yield


@pytest.fixture(scope="module")
def scene():
    return make_word_scene(SETTINGS, 0)


def values(rows, metric):
    return [line["value"] for line in rows if line["metric"] == metric]


def test_demonstrations_are_solutions_of_problems_of_their_own(scene):
    prompts = {
        tuple(ids) for part in (scene.given, scene.held_out) for ids in part.prompts
    }
    assert len(prompts) == SETTINGS.demonstrations + SETTINGS.held_out
    for problem, ids in zip(scene.given.problems, scene.demonstrations, strict=True):
        text = scene.tokenizer.decode(ids, skip_special=True)
        assert text == solution(problem)
        assert ids[-1] == scene.tokenizer.eos_id


def test_the_longest_problems_fit():
    for settings in (Config().words, Config.full().words):
        many = replace(settings, fit_looks=1, fit_updates=1, fit_batch=1)
        many = replace(many, fit_problems=1, demonstrations=500, held_out=1, layers=1)
        given = make_word_scene(many, 7).given
        both = zip(given.prompts, given.solutions, strict=True)
        assert max(len(p) + settings.response for p, _ in both) <= settings.length
        assert max(map(len, given.solutions)) <= settings.response


def test_answers_are_read_from_the_text(scene):
    held = scene.held_out
    right = [Continuation(list(ids), np.zeros(len(ids))) for ids in held.solutions]
    assert scene.exact(held, right) == 1
    other = [*right[1:], right[0]]
    shares = [a.answer == b.answer for a, b in zip(
        held.problems, [*held.problems[1:], held.problems[0]], strict=True
    )]  # fmt: skip
    assert scene.exact(held, other) == pytest.approx(np.mean(shares))


def test_log_probabilities_and_greedy_texts(scene):
    logps, share = scene.read(scene.params, scene.given)
    data = scene.pairs(scene.demonstrations, scene.demonstrations)
    chosen, _ = scene.logps_fn(scene.params, data)
    np.testing.assert_allclose(chosen.sum(-1), logps, rtol=1e-4)
    assert share == 0  # after two updates
    greedy = [text.ids for text in scene.continued(scene.params, scene.given, None)]
    own = replace(scene.given, solutions=greedy)
    assert scene.read(scene.params, own)[1] == 1


def test_self_play_is_measured_in_every_iteration(scene):
    rows = list(word_rows(scene, Play("words", "bernoulli", 3e-3, 0.1, iterations=2)))
    assert len(values(rows, "acc")) == 3
    assert len(values(rows, "d_chosen_sum")) == 2 * SETTINGS.stages
    real = values(rows, "logp_real")
    assert real[1] > real[0]
    first = [line for line in rows if line.get("iteration") == 1]
    chosen, rejected = (values(first, f"d_{s}_sum")[-1] for s in ("chosen", "rejected"))
    assert chosen > rejected


def test_nothing_moves_without_a_rate(scene):
    rows = list(word_rows(scene, Play("words", "spin", 0.0, 0.1, iterations=1)))
    before, after = values(rows, "kl_data_policy")
    assert before == pytest.approx(after, abs=1e-6)
    np.testing.assert_allclose(values(rows, "d_rejected_sum"), 0, atol=1e-4)


def test_every_run_has_its_own_keys():
    config = Config()
    made = list(word_plays(config))
    assert len({tuple(play.keys.values()) for play in made}) == len(made)
    assert len(made) == 2 * len(config.learners)
    assert set(config.words.own_rates) == set(config.learners)
