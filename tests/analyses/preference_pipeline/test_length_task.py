"""The length task: its texts, its utility, and KL along samples."""

import jax.numpy as jnp
import numpy as np
import pytest

from analyses.preference_pipeline.config import Task
from analyses.preference_pipeline.length_task import (
    BEGIN,
    FIRST,
    STOP,
    draw_texts,
    padded,
    sequence_kl,
    utility,
)
from analyses.preference_pipeline.scene import select
from gradlab.models import LanguageModel

TASK = Task(letters=5, longest=8)


def test_texts_are_prompt_response_stop_and_padding():
    texts = draw_texts(TASK, 400, np.random.default_rng(0))
    assert texts.shape == (400, TASK.length)
    stop = (texts == STOP).argmax(1)
    assert ((texts == STOP).sum(1) == 1).all()
    lengths = stop - 1 - TASK.prompt
    assert (lengths.min(), lengths.max()) == (1, TASK.longest)
    for row, end in zip(texts, stop, strict=True):
        assert row[0] == BEGIN
        assert (row[1:end] >= FIRST).all()
        assert (row[end + 1 :] == BEGIN).all()


def test_skills_differ_between_responses():
    texts = draw_texts(TASK, 2000, np.random.default_rng(0))
    found = np.array([utility(row[:4], row[4:]) for row in texts])
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    assert found.std() > 0.25


def test_utility_is_a_share_of_letters():
    assert utility([0, 4, 3, 3], [4, 3, STOP]) == 0.5
    assert utility([0, 4, 3, 3], [STOP]) == 0.0


def test_kl_along_samples_is_that_of_the_sequences():
    """Two letters, next-token distributions without memory: KL adds up by token."""

    def apply(params, tokens):
        return jnp.broadcast_to(params, (*tokens.shape, len(params)))

    model = LanguageModel(apply=apply)
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.5, 0.3])
    tokens = jnp.zeros((3, 6), jnp.int32)
    found = sequence_kl(model, jnp.log(p), jnp.log(q), tokens, jnp.array([0, 1, 4]), 2)
    one = float((p * np.log(p / q)).sum())
    np.testing.assert_allclose(found, [0, one, 4 * one], rtol=1e-5)


def test_padding_keeps_prompt_and_response():
    prompts = np.array([[0, 2, 3, 4]])
    found = padded(TASK, prompts, [[5, 5, STOP]])
    assert found[0, :8].tolist() == [0, 2, 3, 4, 5, 5, STOP, BEGIN]


def test_selections_pick_by_what_they_see(scene, config):
    samples, rows = scene.samples, np.arange(config.task.prompts)
    gaps = {}
    for scheme in ("extremes", "champion", "scores", "scores_ood", "random"):
        picked = select(samples, config.task, scheme, 0)
        chosen, rejected = (
            samples.utilities[rows, side] for side in (picked.chosen, picked.rejected)
        )
        gaps[scheme] = (chosen - rejected).mean()
        again = select(samples, config.task, scheme, 0)
        np.testing.assert_array_equal(again.chosen, picked.chosen)
    assert gaps["extremes"] > gaps["random"]
    longer = select(samples, config.task, "scores_ood", 0).chosen
    plain = select(samples, config.task, "scores", 0).chosen
    assert samples.lengths[rows, longer].mean() >= samples.lengths[rows, plain].mean()


def test_an_unknown_selection_is_refused(scene, config):
    with pytest.raises(KeyError):
        select(scene.samples, config.task, "best", 0)
