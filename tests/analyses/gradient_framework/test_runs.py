"""Runs, evaluation and comparison on forked dialogues, on a tiny decoder."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.common.arrays import PairArrays
from analyses.common.record import compile_effort
from analyses.common.training import train
from analyses.gradient_framework import evaluation, g2
from analyses.gradient_framework.conditions import condition_rows, prefix_rows
from analyses.gradient_framework.config import Config, Setting
from analyses.gradient_framework.dialogue import BEGIN, END
from analyses.gradient_framework.g2 import Course
from gradlab.types import PairLogps

BOTH = ("exmate(lam=1)", "mle(reduction=mean)")


@pytest.fixture(autouse=True)
def _quick():
    with compile_effort(quick=True):
        yield


@pytest.fixture(scope="module")
def config() -> Config:
    return replace(
        Config.smoke(), seeds=(0, 1), losses=(*BOTH, "dpo"), segment=5, steps=10
    )


@pytest.fixture(scope="module")
def course(config) -> Course:
    with compile_effort(quick=True):
        return Course(config, Setting(), config.seeds)


def test_a_run_is_that_of_the_plain_trainer(course, config):
    """Each seed by itself, without segments; DPO reads the start as its reference."""
    runner, scene = course.runner, course.scene
    order = scene.order(6, 4, among=config.pairs, part=3)
    *_, found = runner.run("dpo", course.start, scene.train, order, 0.01, segment=3)
    for seed in (0, 1):
        start, data = jax.tree.map(
            lambda leaf, i=seed: jnp.asarray(leaf[i]), (course.start, scene.train)
        )
        chosen, rejected = runner.logps_fn(start, data)
        masks = data.mask(scene.width)
        pairs = PairLogps(chosen, rejected, masks[0], masks[1], chosen, rejected)
        wanted, _ = train(
            runner.logps_fn, start, data, pairs, jnp.asarray(order[seed]), 0.01,
            loss="dpo",
        )  # fmt: skip
        jax.tree.map(
            lambda a, b, i=seed: np.testing.assert_allclose(a[i], b, atol=1e-5),
            found, wanted,
        )  # fmt: skip


def test_losses_share_start_data_and_order(course):
    first, second = (list(course.run_rows(loss)) for loss in BOTH)
    assert {row["loss"] for row in first} == {BOTH[0]}
    assert len(first) == len(second)
    ends = [course.ended[loss] for loss in BOTH]
    gap = np.abs(ends[0].measures["ce_pos"] - ends[1].measures["ce_pos"])
    assert (gap < 0.2).all()
    assert (gap > 0).all()


def test_equal_margins_come_from_the_nearest_checkpoints(course):
    for loss in BOTH:
        list(course.run_rows(loss))
    ended = course.ended[BOTH[0]]
    level = ended.margins[0] + 1e-6  # nearest to the first checkpoint of every seed
    found = course._at_margin(ended, level)
    np.testing.assert_array_equal(found["train_margin"], ended.margins[0])
    rows = list(course.compared_rows())
    assert {row["matching"] for row in rows} == {"rate", "margin"}
    wins = [row["value"] for row in rows if row["metric"] == "oracle_win"]
    assert all(0 <= win <= 1 for win in wins)


def test_a_stage_changes_loss_and_reference(course):
    rows = list(course.stage_rows("mle(reduction=mean)", "dpo"))
    label = "mle(reduction=mean), then dpo"
    assert {row["loss"] for row in rows} == {label}
    assert len(course.ended[label].checkpoints) == 2


def test_likelihoods_and_agility(course):
    found = evaluation.likelihoods(course.runner, course.start, course.scene.held)
    np.testing.assert_allclose(found["agility"], found["ce_neg"] - found["ce_pos"])
    held = course.scene.held
    same = PairArrays(
        held.chosen, held.chosen, held.start, held.chosen_length, held.chosen_length
    )
    none = evaluation.likelihoods(course.runner, course.start, same)
    assert (none["agility"] == 0).all()
    assert (none["accuracy"] == 0).all()


def test_off_support_counts_what_never_occurs(course):
    scene = course.scene
    everything = replace(scene, support=np.ones_like(scene.support))
    nothing = replace(scene, support=np.zeros_like(scene.support))
    masses = [
        evaluation.off_support(course.runner.model, course.start, some)
        for some in (everything, scene, nothing)
    ]
    assert (masses[0] == 0).all()
    assert ((masses[1] > 0) & (masses[1] < 1)).all()
    np.testing.assert_allclose(masses[2], 1, atol=1e-5)


def test_perfect_and_constant_answers(course):
    scene = course.scene
    rng = np.random.default_rng(0)
    said = [
        np.stack([grammar.respond(some, rng) for _ in range(2)], axis=1)
        for grammar, some in zip(scene.grammars, scene.contexts, strict=True)
    ]
    perfect = evaluation.of_samples(scene, np.stack(said))
    assert (perfect["slot_acc"] == 1).all()
    empty = np.full_like(np.stack(said), BEGIN)
    empty[..., 0] = END
    silent = evaluation.of_samples(scene, empty)
    assert (silent["slot_acc"] == 0).all()
    assert (evaluation.wins(perfect, silent) == 1).all()
    assert (evaluation.wins(perfect, perfect) == 0.5).all()


def test_distinct_counts_within_a_context():
    same = np.array([[[5, 6, 7], [5, 6, 7]]])
    apart = np.array([[[5, 6, 7], [8, 9, 10]]])
    assert evaluation.distinct(same, 3, 1) == evaluation.distinct(same, 3, 2) == 0.5
    assert evaluation.distinct(apart, 3, 2) == 1
    assert evaluation.distinct(np.array([[[5, 5, BEGIN]]]), 3, 1) == 0.5
    assert evaluation.distinct(same, 1, 2) == 0  # no bigram within one token


@pytest.mark.slow
def test_the_condition_and_the_prefix_have_no_exception(course, config):
    losses = ("mle", "dpo", "mate(reduction=sum, lam=8)")
    config = replace(config, condition_losses=losses, condition_pairs=3)
    with jax.enable_x64(True):
        rows = list(condition_rows(config, course))
        prefix = list(prefix_rows(config, course))
    wrong = [row["value"] for row in rows if row["metric"] == "sign_errors"]
    compared = [row["value"] for row in rows if row["metric"] == "signs_compared"]
    assert sum(wrong) == 0
    assert sum(compared) > 12
    falls = [r["value"] for r in rows if r["metric"] == "share_falls"]
    assert 0 < sum(falls) < len(falls)  # both answers occur
    assert all(row["value"] < 1e-12 for row in prefix)


def test_sizes_are_run(config):
    rows = list(g2.size_rows(replace(config, size_losses=("mle",), sizes=(16, 32))))
    assert {row["size"] for row in rows} == {16, 32}
