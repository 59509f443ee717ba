"""Exact problems: expectations by hand, known optima, and what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.self_imitation.config import Config, Tabular
from analyses.self_imitation.drain import drain_rows
from analyses.self_imitation.members import LEARNERS
from analyses.self_imitation.problems import (
    Cell,
    Problem,
    cells_of,
    make_problem,
    with_unseen,
)
from analyses.self_imitation.tabular import (
    expected_loss,
    gather,
    learn,
    negatives,
    tabular_rows,
)

pytestmark = pytest.mark.usefixtures("float64")

TABLE = Tabular(problems=2, outcomes=4, steps=300, draws=2, iterations=2)


@pytest.fixture(scope="module")
def problem():
    return make_problem(TABLE, 3)


@pytest.mark.parametrize("seed", range(8))
def test_the_start_is_as_far_as_drawn(seed):
    found = make_problem(Tabular(), seed)
    assert 0.1 <= found.distance <= 0.6
    assert found.source.sum() == pytest.approx(1)
    assert found.start.sum() == pytest.approx(1)
    assert found.distance == pytest.approx(
        np.maximum(found.source - found.start, 0).sum()
    )


def test_unseen_outcomes_hold_mass_of_the_start_alone(problem):
    made = with_unseen(problem, TABLE, at_source=True)
    assert made.start[-4:].sum() == pytest.approx(TABLE.unseen_mass)
    assert made.source[-4:].sum() == 0
    np.testing.assert_allclose(made.start[:-4], 0.8 * problem.source)


def test_the_expected_loss_is_that_of_all_pairs(problem):
    rng = np.random.default_rng(0)
    logps = np.log(rng.dirichlet(np.ones(4)))
    reference = np.log(problem.start)
    hyper = {"scale": 0.7, "shift": 0.2}
    found = jax.jit(expected_loss, static_argnums=0)(
        LEARNERS["kliep"], *map(jnp.asarray, (logps, reference)),
        jnp.asarray(problem.source), jnp.asarray(problem.start),
        {key: jnp.asarray(value) for key, value in hyper.items()},
    )  # fmt: skip
    z = 0.7 * (logps - reference) + 0.2
    direct = problem.source @ -z + problem.start @ np.exp(z)
    assert float(found) == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize("loss", ["bernoulli", "kliep", "spin"])
def test_the_source_is_reached_at_scale_one_and_not_left(loss):
    source, start = np.array([0.4, 0.3, 0.2, 0.1]), np.full(4, 0.25)
    problem = Problem(source, start, 0.2, 0)
    cells = [Cell("exact"), Cell("source")]
    learners = gather(cells, [problem], 8)
    generated = negatives(learners, learners.policy, 8, 1)
    policy = learn(
        LEARNERS[loss], learners.policy, learners.demonstrations, generated,
        learners.hyper(loss), 0.1, steps=300,
    )  # fmt: skip
    np.testing.assert_allclose(np.exp(policy[0]), problem.source, atol=2e-3)
    np.testing.assert_allclose(np.exp(policy[1]), problem.source, atol=1e-12)


def test_negatives_of_every_kind(problem):
    cells = [Cell("exact"), Cell("exact", decoding="greedy"), Cell("sampled")]
    learners = gather(cells, [problem], 8)
    exact, greedy, sampled = negatives(learners, learners.policy, 8, 1)
    np.testing.assert_allclose(exact, problem.start)
    assert greedy.max() == 1
    assert greedy.argmax() == problem.start.argmax()
    np.testing.assert_allclose(8 * sampled, np.round(8 * sampled), atol=1e-12)
    again = negatives(learners, learners.policy, 8, 1)[2]
    np.testing.assert_array_equal(sampled, again)
    seen = gather(cells[:1], [with_unseen(problem, TABLE, at_source=False)], 8)
    np.testing.assert_allclose(
        negatives(seen, seen.policy, 8, 1)[0], [*problem.start, 0, 0, 0, 0]
    )


def test_every_loss_has_cells_of_its_own():
    config = Config()
    assert {cell.shift for cell in cells_of("lsif", config)} == {0.0, 0.5, 2.0}
    assert {cell.shift for cell in cells_of("spin", config)} == {0.0}
    assert {cell.scale for cell in cells_of("sft", config)} == {1.0}
    assert not any(cell.decoding == "greedy" for cell in cells_of("sft", config))


def test_rows_of_a_loss():
    config = Config(scales=(1.0,), shifts=(0.0,), tabular=TABLE)
    rows = list(tabular_rows(config, "bernoulli"))
    exact = [
        r["value"]
        for r in rows
        if (r["part"], r["metric"]) == ("exact", "kl_data_policy")
        and (r["seed"], r["decoding"]) == (0, "sampled")
    ]
    assert len(exact) == 3
    assert exact[1] < 0.05 * exact[0]
    slopes = [r["value"] for r in rows if r["metric"] == "slope"]
    np.testing.assert_allclose(slopes, 1, atol=0.02)
    drawn = [r for r in rows if r["part"] == "sampled"]
    assert {r["iteration"] for r in drawn} == {0, 2}
    assert len(drawn) == 2 * 2 * 2


def test_a_shift_leads_to_its_target():
    config = Config(scales=(1.0,), shifts=(0.5,), tabular=TABLE)
    rows = [r for r in drain_rows(config, "bernoulli") if r["part"] == "drain source"]
    for line in rows:
        if line["metric"].startswith(("d_", "target_")):
            assert line["value"] == pytest.approx(-0.5, abs=1e-3)
        assert line["target_nat"] == -0.5
