"""One step: against autodiff of the whole, in parts, and where numbers fail."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradlab.losses import resolve
from gradlab.models import build, language_model
from gradlab.models.logps import response_logps
from gradlab.training.batching import Batcher
from gradlab.training.forward import make_score, sides_needed
from gradlab.training.optimisers import hyper_schedules
from gradlab.training.step import Step, TrainState, least_memory
from gradlab.types import PairLogps
from tests.training.cases import CONFIG, references, rows, tiny

PAIRS = rows(8, seed=1)
LOSSES = ["dpo", "kto", "wpo", "sampo"]  # plain, coupled, with squares, with a draw


def made(spec, parts=1, compute=jnp.float32):
    """Step, state and a batch of all rows."""
    model, params = tiny()
    params = jax.tree.map(lambda leaf: leaf.astype(compute), params)
    loss = resolve(spec)
    sides = sides_needed(loss.needs_fields, False)
    batcher = Batcher.of(PAIRS, sides, parts=parts)
    ref = [
        [
            r[: len(batcher.response(p, s))]
            for r, s in zip(row, batcher.sides, strict=True)
        ]
        for p, row in enumerate(references(PAIRS, sides))
    ]
    squares = "chosen_logsumsq" in loss.needs_fields
    score = make_score(model, squares=squares, compute=compute)
    step = Step(score, loss, optax.sgd(0.1))
    batch = batcher.batch(np.arange(8), ref)
    return step, TrainState.start(params, step.optimiser), batch


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("double")
def test_the_gradient_is_that_of_the_mean_loss():
    step, state, batch = made("dpo", compute=jnp.float64)
    model, _ = tiny()
    one = jax.tree.map(lambda leaf: leaf[0], batch)
    width = one.mask.shape[-1]

    def mean_loss(params):
        chosen, rejected = (
            response_logps(
                model,
                params,
                one.rows.tokens[:, side],
                one.rows.start[:, side],
                one.mask[:, side].sum(-1),
                width=width,
            )
            for side in (0, 1)
        )
        pairs = PairLogps(
            chosen,
            rejected,
            one.mask[:, 0],
            one.mask[:, 1],
            one.ref[:, 0],
            one.ref[:, 1],
        )
        return step.loss(pairs).mean()

    value, grads = jax.jit(jax.value_and_grad(mean_loss))(state.params)
    change, _, report = jax.jit(step.direction)(state, batch)
    assert float(report.values.mean()) == pytest.approx(float(value), rel=1e-12)
    jax.tree.map(
        lambda c, g: np.testing.assert_allclose(c, -0.1 * g, atol=1e-14), change, grads
    )
    norm = float(optax.tree.norm(grads))
    assert float(report.grad_norm) == pytest.approx(norm, rel=1e-12)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("spec", LOSSES)
def test_parts_give_the_gradient_of_the_whole(spec):
    whole, cut = (made(spec, parts, jnp.float64) for parts in (1, 4))
    changes, reports = [], []
    for step, state, batch in (whole, cut):
        change, _, report = jax.jit(step.direction)(state, batch)
        changes.append(change)
        reports.append(report)
    assert float(reports[0].grad_norm) > 1e-3
    for name in ("values", "sums", "weights"):
        np.testing.assert_allclose(
            getattr(reports[0], name), getattr(reports[1], name), rtol=1e-12
        )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), *changes
    )


def test_demonstrations_need_no_rejected_response():
    model, params = tiny()
    loss = resolve("mle")
    batch = Batcher.of(rows(8, demonstrations=True), 1).batch(np.arange(8))
    step = Step(make_score(model), loss, optax.sgd(0.01))
    state, report = jax.jit(step.update)(
        TrainState.start(params, step.optimiser), batch
    )
    np.testing.assert_allclose(report.values, -report.sums[:, 0], rtol=1e-6)
    _, after = jax.jit(step.update)(state, batch)
    assert float(after.values.mean()) < float(report.values.mean())
    np.testing.assert_array_equal(report.weights[:, 0], batch.mask[0, :, 0].sum(-1))


def test_a_step_repeats_exactly():
    runs = []
    for _ in range(2):
        step, state, batch = made("sampo")
        update = step.compiled()
        for _ in range(3):
            state, report = update(state, batch)
        runs.append((state.params, report.values))
    jax.tree.map(np.testing.assert_array_equal, *runs)


def test_draws_change_from_step_to_step():
    step, state, batch = made("sampo")
    later = replace(state, step=state.step + 1)
    one, other = (jax.jit(step.direction)(s, batch)[2].values for s in (state, later))
    assert (one != other).any()


def test_a_scheduled_hyperparameter_follows_the_steps():
    step, state, batch = made("dpo_shift(beta=0.1)")
    step = replace(step, schedules=hyper_schedules(("f=linear(0.5,1)",), 10))
    for done, f in ((0, 0.5), (5, 0.75)):
        now = replace(state, step=jnp.int32(done))
        fixed = replace(step, loss=resolve(f"dpo_shift(beta=0.1, f={f})"), schedules={})
        np.testing.assert_allclose(
            jax.jit(step.direction)(now, batch)[2].values,
            jax.jit(fixed.direction)(now, batch)[2].values,
            rtol=1e-6,
        )


def test_a_number_that_is_not_finite_stops_everything():
    step, state, batch = made("dpo")
    update = jax.jit(step.update)
    state, report = update(state, batch)
    assert not report.failed
    bad = replace(batch, ref=batch.ref.copy())
    bad.ref[0, 3, 0, 0] = np.nan
    halted, report = update(state, bad)
    assert report.failed
    assert halted.halted
    assert np.isnan(report.values[3])
    later, _ = update(halted, batch)
    for found in (halted, later):
        assert int(found.step) == 1
        jax.tree.map(np.testing.assert_array_equal, found.params, state.params)


def test_the_compiled_step_is_the_step_and_stops_with_it():
    step, state, batch = made("dpo")
    compiled = step.compiled()
    expected, report = jax.jit(step.update)(state, batch)
    found, seen = compiled(jax.tree.map(jnp.copy, state), batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        (found, seen),
        (expected, report),
    )
    bad = replace(batch, ref=batch.ref.copy())
    bad.ref[0, 3, 0, 0] = np.nan
    halted, report = compiled(found, bad)
    later, _ = compiled(halted, batch)
    assert report.failed
    for stopped in (halted, later):
        assert stopped.halted
        assert int(stopped.step) == 1
        jax.tree.map(np.testing.assert_array_equal, stopped.params, found.params)


def test_layers_computed_again_take_less_memory():
    config = replace(CONFIG, layers=8, ff_width=128)
    params, batch = build(config)[1], Batcher.of(PAIRS, 2).batch(np.arange(8))

    def held(remat: bool) -> int:
        score = make_score(language_model(config, remat=remat))
        step = Step(score, resolve("mle"), optax.sgd(0.1))
        gradient = jax.jit(step.gradient, compiler_options=least_memory())
        state = TrainState.start(params, step.optimiser)
        compiled = gradient.lower(state, batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert held(remat=True) < 0.7 * held(remat=False)


def test_bfloat16_keeps_parameters_and_log_probabilities_wide():
    model, _ = tiny()
    step, state, batch = made("dpo")
    narrow = replace(step, score=make_score(model, compute=jnp.bfloat16))
    new, report = jax.jit(narrow.update)(state, batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(new.params)} == {jnp.dtype("f4")}
    assert report.sums.dtype == jnp.float32
    _, exact = jax.jit(step.update)(state, batch)
    np.testing.assert_allclose(report.sums, exact.sums, rtol=0.05)
    assert (np.asarray(report.sums) != np.asarray(exact.sums)).any()


def test_scale_and_seed_are_inputs_of_the_compiled_step():
    model, params = tiny()
    step = Step(make_score(model), resolve("mle"), optax.sgd(1.0), scale=0.25)
    batch = Batcher.of(rows(4), 2).batch(np.arange(4))
    expected, _ = replace(step, optimiser=optax.sgd(0.25), scale=1.0).update(
        TrainState.start(params, step.optimiser), batch
    )
    found, _ = step.compiled()(
        TrainState.start(jax.tree.map(jnp.copy, params), step.optimiser), batch
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        found.params,
        expected.params,
    )
    for seed in (0, 7, -1, 2**32 - 1):
        given = replace(step, seed=seed).numbers()["seed"]
        keys = [jax.random.key(s) for s in (seed, jnp.asarray(given))]
        assert jnp.array_equal(*map(jax.random.key_data, keys))
