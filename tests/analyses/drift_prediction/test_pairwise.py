"""Measures of single pairs and steps on them, against the library or by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from analyses.drift_prediction import pairwise
from analyses.drift_prediction.policy import all_weights, first
from analyses.drift_prediction.rows import make_table
from gradlab.gradients import realised_drift
from gradlab.gradients.groups import tree_inner
from gradlab.measures import entanglement, token_influence
from gradlab.types import PairWeights


def test_conditions_use_the_librarys_influences(scene, config):
    data = scene.kind.pairs.take(slice(config.batch))
    weights = all_weights(config.losses, first(scene.pairs, config.batch), 64)
    size = 1e-6 * scene.size
    found, realised = pairwise._conditions(
        scene.logps_fn, scene.params, data, weights, size
    )
    for name in ("dpo", "unlikelihood_token"):
        index = config.losses.index(name)
        given = PairWeights(*weights[index])
        expected = token_influence(scene.logps_fn, scene.params, given, data)
        for one, two in zip(
            jax.tree.leaves(expected), jax.tree.leaves(found), strict=True
        ):
            np.testing.assert_allclose(two[index], one, rtol=1e-9)
        changes = entanglement(expected)
        # A step of fixed norm: the ratio of the two sides' changes is what is left.
        ratio = changes.chosen_change / changes.rejected_change
        np.testing.assert_allclose(
            realised[index, :, 0] / realised[index, :, 1], ratio, rtol=1e-2
        )


def test_pair_rows_agree_with_each_other(scene, config):
    table = make_table(pairwise.pair_rows(scene, config, kind="edits", seed=0))
    wide = table.pivot_table(index="pair", columns=["metric", "side"], values="value")
    for side in ("chosen", "rejected"):
        pred, real = wide["own_pred", side], wide["own_real", side]
        np.testing.assert_allclose(real, pred, atol=1e-3 * np.abs(pred).max())
    falls = np.isin(wide["case", ""], [2, 4])
    np.testing.assert_array_equal(falls, wide["own_pred", "chosen"] < 0)
    np.testing.assert_array_equal(falls, wide["kappa_c", ""] > 1)
    assert wide["self_share", "chosen"].between(0, 1).all()
    assert wide["edit_norm", ""].between(0, 1).all()


def test_frozen_coordinates_leave_the_products(scene):
    head = jax.tree.map(jnp.zeros_like, scene.params)
    head = {**head, "unembed": jax.tree.map(jnp.ones_like, head["unembed"])}
    data = scene.kind.pairs
    found = pairwise.products_of(scene.logps_fn, scene.params, data, head)
    score = jax.grad(lambda theta: scene.logps_fn(theta, data)[0][1].sum())(
        scene.params
    )
    expected = tree_inner(score["unembed"], score["unembed"])
    np.testing.assert_allclose(found.chosen[1], expected, rtol=1e-10)


def test_one_token_answers_have_no_ches(scenes, config):
    """Both answers are read off one hidden state: CHES is exactly 0, not rounding."""
    table = make_table(
        pairwise.pair_rows(scenes["answers"], config, kind="answers", seed=0)
    )
    assert set(table[table["metric"] == "ches"]["value"]) == {0.0}


def test_a_wrong_sign_is_counted(scene, config, monkeypatch):
    rows = make_table(pairwise.condition_rows(scene, config, kind="edits", seed=0))
    errors = rows[rows["metric"] == "sign_errors"]["value"]
    compared = rows[rows["metric"] == "signs_compared"]["value"]
    assert errors.sum() == 0
    assert compared.sum() > len(config.losses) * config.batch
    real = pairwise._conditions
    monkeypatch.setattr(pairwise, "_conditions", lambda *a: (real(*a)[0], -real(*a)[1]))
    rows = make_table(pairwise.condition_rows(scene, config, kind="edits", seed=0))
    wrong = rows[rows["metric"] == "sign_errors"]["value"]
    np.testing.assert_array_equal(wrong, compared)


def test_own_step_of_a_pair_by_hand(scene):
    data = scene.kind.pairs
    weights = pairwise.dpo_weights(scene, jnp.ones(len(data)), jnp.ones(len(data)))
    everything = jax.tree.map(jnp.ones_like, scene.params)
    found = pairwise.own_steps(
        scene.logps_fn, scene.params, data, weights, 1e-3, everything
    )
    one = data.take(slice(1, 2))

    def margin(theta):
        chosen, rejected = scene.logps_fn(theta, one)
        return rejected.sum() - chosen.sum()

    step = jax.tree.map(lambda g: -1e-3 * g, jax.grad(margin)(scene.params))
    change = realised_drift(lambda t: scene.logps_fn(t, one), scene.params, step)
    expected = [side.sum() for side in change]
    np.testing.assert_allclose(found[1], expected, rtol=1e-8)
