"""Steps of losses: parts, own parts, realised change, and their sums."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gradlab.drift.config import DriftConfig
from gradlab.drift.optimiser import build_optimiser
from gradlab.drift.own import own_drifts, pair_scores
from gradlab.drift.steps import loss_steps
from gradlab.errors import GradlabError
from gradlab.gradients import split_step
from gradlab.gradients.groups import tree_norm
from gradlab.inputs.scored import SIDES
from tests.drift.cases import log_probs, make_case


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def steps_of(case, *losses, **settings):
    config = DriftConfig(**settings)
    scores = pair_scores(case.corpus, case.params)
    weighed = case.weights(*losses)
    return list(loss_steps(case.corpus, case.params, weighed, scores, config, []))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
def test_a_small_step_does_what_was_predicted(optimizer):
    case = make_case()
    for step in steps_of(
        case, "dpo", "unlikelihood_token", optimizer=optimizer, step_norm=1e-6
    ):
        assert step.update_norm == pytest.approx(1e-6)
        assert step.agreement.pearson > 0.999999
        assert step.agreement.relative_error < 1e-3
        for side in SIDES:
            parts = [step.by_chosen[side], step.by_rejected[side], step.carried[side]]
            np.testing.assert_allclose(sum(parts), step.predicted[side], atol=1e-12)


def test_the_error_falls_linearly_with_the_step():
    case = make_case()
    errors = [
        steps_of(case, "dpop", step_norm=norm)[0].agreement.relative_error
        for norm in (1e-4, 1e-5, 1e-6)
    ]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)


def test_weight_decay_is_carried():
    (plain,) = steps_of(make_case(), "dpo", optimizer="adamw", lr=1e-3)
    (decayed,) = steps_of(
        make_case(), "dpo", optimizer="adamw", lr=1e-3, weight_decay=0.1
    )
    assert not np.any(plain.carried["chosen"])
    assert np.abs(decayed.carried["chosen"]).max() > 0
    np.testing.assert_allclose(
        decayed.predicted["chosen"] - decayed.carried["chosen"],
        plain.predicted["chosen"],
        atol=1e-12,
    )


@pytest.mark.parametrize("loss", ["dpo", "mle", "simpo", "exmate(reduction=token)"])
def test_own_parts_by_scaling_equal_own_parts_by_passes(loss):
    case = make_case()
    weights = case.mean_weights(loss)
    optimiser = build_optimiser(DriftConfig(lr=0.3))
    gradients = case.corpus.gradients(case.params, weights)
    split = split_step(optimiser, optimiser.init(case.params), case.params, gradients)
    scores = pair_scores(case.corpus, case.params)
    found = own_drifts(case.corpus, case.params, weights, split, scores)
    rate = jax.tree.map(lambda leaf: -0.3 + 0 * leaf, case.params)
    for cause in SIDES:
        expected = case.corpus.own_drifts(
            case.params, cause, weights[cause], rate, microbatch=2
        )
        for side in SIDES:
            np.testing.assert_allclose(
                found[cause][side], expected[side], rtol=1e-9, atol=1e-13
            )


def test_scores_are_products_of_score_gradients():
    case = make_case()
    scores = pair_scores(case.corpus, case.params)
    for n in range(len(case.pairs)):
        score = [
            ravel_pytree(
                jax.grad(lambda p, n=n, s=side: log_probs(case, p, n, s).sum())(
                    case.params
                )
            )[0]
            for side in SIDES
        ]
        expected = (score[0] @ score[0], score[1] @ score[1], score[0] @ score[1])
        found = scores.products
        got = (found.chosen[n], found.rejected[n], found.inner[n])
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_the_case_of_a_pair_is_the_sign_of_its_own_step():
    """Taken alone, each pair's step moves its answers as its case says."""
    case = make_case()
    (step,) = steps_of(case, "dpo")
    falls = step.own["chosen"].sum(1) < 0
    np.testing.assert_array_equal(np.asarray(step.entanglement.case) == 2, falls)


def test_a_step_without_a_split_says_why(monkeypatch):
    monkeypatch.setattr("gradlab.gradients.step.MAX_CANCELLATION", 1.0)
    case = make_case()
    with jax.enable_x64(False):
        single = jax.tree.map(lambda leaf: leaf.astype("float32"), case.params)
        scores = pair_scores(case.corpus, single)
        config = DriftConfig(optimizer="adamw")
        weighed = case.weights("dpo")
        (step,) = loss_steps(case.corpus, single, weighed, scores, config, [])
    assert "cancel beyond the precision" in step.undivided
    assert step.by_chosen is None
    assert step.own is None
    assert step.entanglement is None
    assert np.abs(step.predicted["chosen"]).max() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, "--lr is 0.0; expected a positive number"),
        ({"clip_norm": -1.0}, "--clip-norm is -1.0"),
        ({"step_norm": float("nan")}, "--step-norm is nan"),
        ({"weight_decay": 0.1}, "expected adamw"),
        ({"lr": 0.1, "step_norm": 1.0}, "both say how long"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(GradlabError, match=message):
        build_optimiser(DriftConfig(**settings))


def test_without_a_rate_all_steps_are_of_one_length():
    case = make_case()
    size = float(tree_norm(case.params))
    for step in steps_of(case, "dpo", "mle"):
        assert step.update_norm == pytest.approx(1e-5 * size)
    (step,) = steps_of(case, "dpo", lr=1e-4)
    gradients = case.corpus.gradients(case.params, case.mean_weights("dpo"))
    assert step.update_norm == pytest.approx(1e-4 * float(tree_norm(gradients.total)))
