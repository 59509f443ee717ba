"""Kinds, policy, and token weights: what every measurement starts from."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import make_arrays
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pair_kinds import (
    WORD_PROBLEM,
    digests,
    kinds_of,
    missing,
    word_problems,
)
from analyses.drift_prediction.policy import _mismatched, all_weights, batch_gradient
from gradlab.data import TokenizedPair
from gradlab.gradients import token_weights
from gradlab.gradients.groups import tree_norm
from gradlab.losses import LOSSES


def test_every_loss_of_the_catalogue_is_there_once():
    names = [label.partition("(")[0] for label in Config().losses]
    assert names == list(LOSSES)
    assert set(Config().losses_with_kinks()) < set(Config().losses)


def test_missing_data_is_named_and_never_replaced(tmp_path):
    config = replace(Config(), kinds=("hh",))
    reason = "optional data absent: hh_helpful_base_test.jsonl, models/stories260K"
    for data in (None, tmp_path):
        assert missing(config, data) == {"hh": reason}
        assert digests(config, data) == {}
        assert list(kinds_of(config, 0, data)) == []


def test_real_pairs_fit_their_box_uncut(shared):
    config = replace(Config(), kinds=("hh", "persona"))
    assert missing(config, shared / "data") == {}
    hh, persona = kinds_of(config, 0, shared / "data")
    for kind in (hh, persona):
        longest = max(max(len(p.chosen), len(p.rejected)) for p in kind.tokenized)
        assert longest <= kind.width
        assert kind.pairs.chosen.shape[0] == config.pairs
    again = next(kinds_of(replace(config, kinds=("hh",)), 0, shared / "data"))
    assert again.tokenized == hh.tokenized
    assert set(digests(config, shared / "data")) == {
        "hh_helpful_base_test.jsonl", "persona_yesno_pairs.jsonl"
    }  # fmt: skip


def test_word_problems_fit_their_box():
    pairs = word_problems(20, 3)
    assert len(pairs) == 20
    assert max(pair.length for pair in pairs) <= WORD_PROBLEM[0]
    assert max(map(len, [p.chosen for p in pairs])) <= WORD_PROBLEM[1]


def test_studied_and_other_pairs_are_different_ones(scene, config):
    kind = scene.kind
    assert (len(kind.pairs), len(kind.others)) == (config.pairs, config.batch)
    studied = {tuple(row) for row in np.asarray(kind.pairs.chosen).tolist()}
    assert not studied & {tuple(r) for r in np.asarray(kind.others.chosen).tolist()}


def test_policy_is_some_steps_of_known_size_away(scene, config):
    gap = jax.tree.map(jnp.subtract, scene.params, scene.kind.reference)
    step = config.policy_step * float(tree_norm(scene.kind.reference))
    assert 0 < float(tree_norm(gap)) <= config.policy_steps * step * (1 + 1e-9)


def test_scores_are_those_of_the_model(scene):
    """The first pair's chosen side by hand, from logits."""
    kind, row = scene.kind, scene.kind.pairs.take(slice(1))
    logits = kind.model.apply(scene.params, row.chosen)
    logps = jax.nn.log_softmax(logits)[0]
    start, count = int(row.start[0]), int(row.chosen_length[0])
    tokens = np.asarray(row.chosen)[0, start : start + count]
    expected = logps[np.arange(start - 1, start - 1 + count), tokens]
    np.testing.assert_allclose(scene.pairs.chosen[0, :count], expected, atol=1e-12)
    squares = jax.nn.logsumexp(2 * logps[start - 1 : start - 1 + count], axis=-1)
    found = scene.pairs.chosen_logsumsq[0, :count]
    np.testing.assert_allclose(found, squares, atol=1e-12)
    assert not np.any(scene.pairs.chosen[0, count:])


def test_mismatched_prompts_get_the_next_response():
    pairs = [
        TokenizedPair(1, [5, 6], [1, 2, 3], [4]),
        TokenizedPair(2, [7], [8, 9], [4]),
    ]
    mixed = _mismatched(make_arrays(pairs, 5))
    assert np.asarray(mixed.chosen).tolist() == [[5, 6, 8, 9, 0], [7, 1, 2, 3, 0]]
    assert np.asarray(mixed.chosen_length).tolist() == [2, 3]


def test_weights_of_all_losses_are_those_of_each(scene, config):
    batch = jax.tree.map(lambda x: x[: config.batch], scene.pairs)
    found = all_weights(config.losses, batch, 64)
    assert found.shape == (len(config.losses), 2, config.batch, scene.kind.width)
    for index, loss in enumerate(config.losses):
        expected = token_weights(loss, batch)
        np.testing.assert_allclose(found[index, 0], expected.chosen, atol=1e-14)
        np.testing.assert_allclose(found[index, 1], expected.rejected, atol=1e-14)


def test_gradient_in_batches_is_that_of_all_pairs(scene, config):
    rng = np.random.default_rng(0)
    shape = (2, config.pairs, scene.kind.width)
    weights = jnp.asarray(rng.normal(size=shape))
    whole = batch_gradient(scene.logps_fn, scene.params, scene.kind.pairs, weights)
    parts = scene.gradient(weights, config.batch)
    gap = jax.tree.map(jnp.subtract, whole, parts)
    assert float(tree_norm(gap)) < 1e-12 * float(tree_norm(whole))
