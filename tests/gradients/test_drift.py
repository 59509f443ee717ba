"""Predicted drift against Jacobians, closed forms, reverse mode and true steps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradlab.errors import GradlabError, LossInputError
from gradlab.gradients import (
    predicted_drift,
    realised_drift,
    self_drift,
    side_gradients,
    split_drift,
    split_step,
    trapezoid_drift,
)
from gradlab.gradients.groups import tree_inner
from gradlab.losses import resolve
from gradlab.models.logps import response_logps
from gradlab.types import PairLogps
from tests.gradients.models import SMALL, B, flat, make_case, random_like, take
from tests.models.cases import random_tokens

RATE = 1e-2


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def sgd(gradient):
    return jax.tree.map(lambda leaf: -RATE * leaf, gradient)


def step_of(case, loss="dpo", optimiser=None, **hyper):
    split = jax.jit(
        lambda p: side_gradients(loss, case.logps_fn, p, case.pairs, **hyper)
    )
    gradients = split(case.params)
    optimiser = optimiser or optax.sgd(RATE)
    return split_step(optimiser, optimiser.init(case.params), case.params, gradients)


def drift_of(case, direction):
    run = jax.jit(lambda p, u: predicted_drift(case.logps_fn, p, u))
    return run(case.params, direction)


def sides_of(case):
    run = jax.jit(lambda p: side_gradients("dpo", case.logps_fn, p, case.pairs))
    return run(case.params)


def self_of(case, response, pairs=None, microbatch=8):
    run = jax.jit(
        lambda p: self_drift(
            "dpo",
            case.batch_logps,
            p,
            case.data,
            pairs or case.pairs,
            response,
            microbatch=microbatch,
        )
    )
    return run(case.params)


def test_equals_the_explicit_jacobian_on_a_toy():
    rng = np.random.default_rng(0)
    theta = jnp.asarray(rng.normal(size=(4, 5)))
    rows, targets = jnp.array([[0, 1, 2], [3, 1, 0]]), jnp.array([[1, 4, 0], [2, 2, 3]])

    def logps_fn(theta):
        logps = jax.nn.log_softmax(theta)[rows, targets]
        return logps[:1], logps[1:]

    direction = jnp.asarray(rng.normal(size=theta.shape))
    got = predicted_drift(logps_fn, theta, direction)
    for side, jacobian in zip(got, jax.jacrev(logps_fn)(theta), strict=True):
        expected = jnp.einsum("btij,ij->bt", jacobian, direction)
        np.testing.assert_allclose(side, expected, rtol=1e-12, atol=1e-14)


def test_a_tabular_step_follows_the_closed_form():
    """One row pushed by a(e_g - p) - b(e_d - p): eta [a(q-p_i-p_g) - b(q-p_i-p_d)]."""
    logits = jnp.asarray(np.random.default_rng(1).normal(size=7))
    p, eta, a, b, g, d = jax.nn.softmax(logits), 0.1, 0.7, 0.4, 2, 5
    q = jnp.sum(p**2)
    eye = jnp.eye(7)
    direction = eta * (a * (eye[g] - p) - b * (eye[d] - p))
    drift = predicted_drift(jax.nn.log_softmax, logits, direction)
    expected = eta * (a * (q - p - p[g]) - b * (q - p - p[d]))
    expected = expected + eta * (a * eye[g] - b * eye[d])
    np.testing.assert_allclose(drift, expected, rtol=1e-12)


def test_equals_the_vjp_times_the_direction_for_every_token():
    """Forward-over-nothing against reverse, token by token."""
    case = make_case()
    direction = random_like(case.params)
    drift = jax.jit(lambda p: predicted_drift(case.logps_fn, p, direction))(case.params)
    logps, pull = jax.vjp(case.logps_fn, case.params)
    pull = jax.jit(pull)
    rng = np.random.default_rng(2)
    for side in (0, 1):
        for _ in range(4):
            where = tuple(int(rng.integers(n)) for n in logps[side].shape)
            unit = [jnp.zeros_like(x) for x in logps]
            unit[side] = unit[side].at[where].set(1.0)
            expected = tree_inner(pull(tuple(unit))[0], direction)
            np.testing.assert_allclose(
                drift[side][where], expected, rtol=1e-10, atol=1e-12
            )


def test_forward_over_reverse_equals_reverse_over_forward():
    """The drift's own gradient, along two routes: second derivatives are intact."""
    case = make_case(batch=1)
    u, v = random_like(case.params, 1), random_like(case.params, 2)

    def total(params):
        return sum(jnp.sum(side) for side in case.logps_fn(params))

    def drift(params):
        return sum(jnp.sum(side) for side in predicted_drift(case.logps_fn, params, u))

    forward = jax.jit(lambda p: jax.jvp(jax.grad(total), (p,), (u,))[1])(case.params)
    reverse = jax.jit(jax.grad(drift))(case.params)
    np.testing.assert_allclose(
        tree_inner(forward, v), tree_inner(reverse, v), rtol=1e-10
    )


@pytest.mark.parametrize("config", ["toy", "small"])
def test_equals_finite_differences(config):
    case = make_case(config, batch=1)
    direction = random_like(case.params)
    drift = jax.jit(lambda p: predicted_drift(case.logps_fn, p, direction))(case.params)
    h = 1e-6  # at 1e-5 the third derivative shows: the gap falls with h squared
    steps = [jax.tree.map(lambda x, s=s: s * h * x, direction) for s in (1, -1)]
    realised = jax.jit(lambda p, s: realised_drift(case.logps_fn, p, s))
    up, down = (flat(realised(case.params, s)) for s in steps)
    gap = np.abs(flat(drift) - (up - down) / (2 * h)).max()
    assert gap < 1e-8 * np.abs(flat(drift)).max()


@pytest.mark.parametrize("loss", ["dpo", "exmate"])
def test_parts_add_up_to_the_drift_of_the_update(loss):
    case = make_case()
    for optimiser in (optax.sgd(RATE), optax.adamw(RATE, eps=1e-2, weight_decay=0.1)):
        step = step_of(case, loss, optimiser)
        run = jax.jit(lambda p, parts: split_drift(case.logps_fn, p, parts))
        drifts = run(case.params, step.parts)
        whole = drift_of(case, step.total)
        np.testing.assert_allclose(
            flat(drifts["total"]), flat(whole), rtol=1e-12, atol=1e-14
        )
        names = ("chosen", "rejected", "momentum", "decay")
        summed = sum(flat(drifts[name]) for name in names)
        np.testing.assert_allclose(summed, flat(whole), rtol=1e-12, atol=1e-14)


def test_padding_and_order_do_not_matter():
    case = make_case()
    expected = drift_of(case, step_of(case).total)
    order, wide = [2, 0, 1], make_case(pad=3)
    moved = take(case, order)
    got = drift_of(moved, step_of(moved).total)
    for side, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(side, other[jnp.array(order)], atol=1e-13)
    got = drift_of(wide, step_of(wide).total)
    for side, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(side[:, : other.shape[1]], other, atol=1e-13)
        assert not np.any(side[:, other.shape[1] :])


def test_probe_sequences_outside_the_batch():
    case = make_case()
    step = step_of(case)
    tokens = random_tokens(SMALL, 2, 9, seed=11)
    lengths = (jnp.array([2, 4]), jnp.array([6, 3]))
    probe = partial(_probe, case.model, tokens, lengths)
    drift = predicted_drift(probe, case.params, step.total)
    assert drift.shape == (2, 6)
    small = jax.tree.map(lambda x: 1e-3 * x, step.total)
    realised = realised_drift(probe, case.params, small)
    np.testing.assert_allclose(realised, 1e-3 * drift, rtol=1e-3, atol=1e-9)


def _probe(model, tokens, lengths, params):
    return response_logps(model, params, tokens, *lengths, width=6)


def test_trapezoid_is_closer_than_the_line():
    case = make_case()
    step = jax.tree.map(lambda x: 10 * x, step_of(case).total)
    realised = flat(realised_drift(case.logps_fn, case.params, step))
    errors = [
        np.linalg.norm(
            realised
            - flat(jax.jit(lambda p, u, f=f: f(case.logps_fn, p, u))(case.params, step))
        )
        for f in (predicted_drift, trapezoid_drift)
    ]
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize("microbatch", [1, 2])
def test_self_drift_equals_a_batch_of_one(microbatch):
    case = make_case()
    own = self_of(case, sgd, microbatch=microbatch)
    for i in range(B):
        one = take(case, [i])
        sides = sides_of(one)
        for part in ("chosen", "rejected"):
            step = jax.tree.map(lambda x: x / B, sgd(getattr(sides, part)))
            expected = drift_of(one, step)
            for side, alone in zip(getattr(own, f"by_{part}"), expected, strict=True):
                np.testing.assert_allclose(side[i], alone[0], rtol=1e-10, atol=1e-14)


def test_self_drift_of_one_pair_is_its_whole_drift():
    case = make_case(batch=1)
    own = self_of(case, sgd)
    whole = drift_of(case, step_of(case).total)
    np.testing.assert_allclose(flat(own.total), flat(whole), rtol=1e-10, atol=1e-14)


def test_self_drift_under_adam_uses_the_batchs_denominators():
    case = make_case()
    step = step_of(case, optimiser=optax.adam(RATE, eps=1e-2))
    own = self_of(case, step.response)
    one = take(case, [1])
    gradient = sides_of(one).total
    update = step.response(jax.tree.map(lambda x: x / B, gradient))
    expected = drift_of(one, update)
    for side, alone in zip(own.total, expected, strict=True):
        np.testing.assert_allclose(side[1], alone[0], rtol=1e-9, atol=1e-13)


def test_total_and_two_parts_cost_at_most_six_forward_passes():
    """Compiled flops, whatever the number of tokens."""
    case = make_case("small")
    step = step_of(case)
    parts = {"chosen": step.chosen, "rejected": step.rejected}
    run = jax.jit(lambda p, u: split_drift(case.logps_fn, p, u))
    drift = run.lower(case.params, parts).compile().cost_analysis()["flops"]
    forward = jax.jit(case.logps_fn).lower(case.params)
    assert drift <= 6 * forward.compile().cost_analysis()["flops"]


def test_refusals():
    case = make_case()
    with pytest.raises(LossInputError, match="couples the pairs"):
        self_drift(
            resolve("exmate", reduction="batch"),
            case.batch_logps,
            case.params,
            case.data,
            case.pairs,
            sgd,
        )
    for parts in ({}, {"total": case.params}):
        with pytest.raises(GradlabError, match="none of them named 'total'"):
            split_drift(case.logps_fn, case.params, parts)


def test_a_kernel_without_a_forward_rule_is_named():
    @jax.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, g: (2 * x * g,))
    one = jnp.ones(1)
    for predict in (
        predicted_drift,
        lambda f, p, u: split_drift(f, p, {"chosen": u}),
    ):
        with pytest.raises(GradlabError, match="reverse-mode rule only"):
            predict(square, one, one)


def test_zero_step_gives_exactly_zero():
    case = make_case()
    nothing = jax.tree.map(jnp.zeros_like, case.params)
    for function in (predicted_drift, realised_drift, trapezoid_drift):
        run = jax.jit(lambda p, u, f=function: f(case.logps_fn, p, u))
        assert not flat(run(case.params, nothing)).any()


def test_shared_log_ratios_do_not_enter_the_items():
    """kl_logratios [K] has no pair axis; it must survive the mapping."""
    case = make_case()
    fields = {**vars(case.pairs), "kl_logratios": jnp.zeros(7)}
    own = self_of(case, sgd, PairLogps(**fields))
    assert own.total[0].shape == case.pairs.chosen_mask.shape
