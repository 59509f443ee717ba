"""The parts of an optimiser step against its update and against the formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradlab.errors import GradlabError
from gradlab.gradients import SideGradients, split_step
from tests.gradients.models import flat

ETA, WD, MU, B1, B2, EPS = 0.01, 0.1, 0.9, 0.8, 0.95, 1e-6


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def tree(seed, dtype=jnp.float64):
    rng = np.random.default_rng(seed)
    return {
        "a": jnp.asarray(rng.normal(size=(3, 4)), dtype),
        "b": {"c": jnp.asarray(rng.normal(size=5), dtype)},
    }


def sides(seed, dtype=jnp.float64):
    return SideGradients(jnp.zeros(1), tree(2 * seed, dtype), tree(2 * seed + 1, dtype))


def warmed(optimiser, params, steps=3):
    """A real state: some updates with other gradients."""
    state = optimiser.init(params)
    for k in range(steps):
        state = optimiser.update(tree(100 + k), state, params)[1]
    return state


SCHEDULE = optax.linear_schedule(0.02, 0.001, 10)
OPTIMISERS = {
    "sgd": optax.sgd(ETA),
    "momentum": optax.sgd(ETA, momentum=MU),
    "nesterov": optax.sgd(ETA, momentum=MU, nesterov=True),
    "schedule": optax.sgd(SCHEDULE, momentum=MU),
    "l2": optax.chain(optax.add_decayed_weights(WD), optax.sgd(ETA, momentum=MU)),
    "rmsprop": optax.rmsprop(ETA, decay=B2, eps=EPS),
    "rmsprop momentum": optax.rmsprop(ETA, decay=B2, momentum=MU),
    "adam": optax.adam(ETA, b1=B1, b2=B2, eps=EPS),
    "adamw": optax.adamw(ETA, b1=B1, b2=B2, eps=EPS, weight_decay=WD),
    "nadamw": optax.nadamw(ETA, b1=B1, b2=B2, weight_decay=WD),
    "amsgrad": optax.amsgrad(ETA, b1=B1, b2=B2),
    "masked decay": optax.adamw(ETA, mask={"a": True, "b": {"c": False}}),
    "scheduled adamw": optax.adamw(SCHEDULE, weight_decay=WD),
    "clipped sgd": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(ETA)),
    "clipped adamw": optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(ETA, weight_decay=WD)
    ),
    "injected": optax.inject_hyperparams(optax.adamw)(learning_rate=ETA),
}
CLIPPED = {"clipped sgd", "clipped adamw"}


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_parts_add_up_to_the_optimisers_own_update(name, steps):
    optimiser, params, given = OPTIMISERS[name], tree(7), sides(1)
    state = warmed(optimiser, params, steps)
    split = split_step(optimiser, state, params, given)
    own, _ = optimiser.update(given.total, state, params)
    np.testing.assert_array_equal(flat(split.total), flat(own))
    summed = sum(flat(part) for part in split.parts.values())
    np.testing.assert_allclose(summed, flat(own), rtol=1e-12, atol=1e-15)
    norm = np.linalg.norm(flat(given.total))
    expected = 1 / norm if name in CLIPPED else 1.0
    np.testing.assert_allclose(split.clip_factor, expected, rtol=1e-12)
    for part, gradient in (
        (split.chosen, given.chosen),
        (split.rejected, given.rejected),
    ):
        np.testing.assert_array_equal(flat(split.response(gradient)), flat(part))
    both = np.linalg.norm(flat(split.chosen)) + np.linalg.norm(flat(split.rejected))
    np.testing.assert_allclose(split.cancellation, both / np.linalg.norm(flat(own)))


def test_adamw_parts_follow_the_formulas():
    params, given, clip = tree(7), sides(1), 1.0
    optimiser = optax.chain(
        optax.clip_by_global_norm(clip),
        optax.adamw(ETA, b1=B1, b2=B2, eps=EPS, weight_decay=WD),
    )
    state = warmed(optimiser, params)
    split = split_step(optimiser, state, params, given)
    adam, k = state[1][0], 4
    f = clip / np.linalg.norm(flat(given.total))
    v = B2 * flat(adam.nu) + (1 - B2) * (f * flat(given.total)) ** 2
    below = (np.sqrt(v / (1 - B2**k)) + EPS) * (1 - B1**k)
    expected = {
        "chosen": -ETA * (1 - B1) * f * flat(given.chosen) / below,
        "rejected": -ETA * (1 - B1) * f * flat(given.rejected) / below,
        "momentum": -ETA * B1 * flat(adam.mu) / below,
        "decay": -ETA * WD * flat(params),
    }
    for name, part in expected.items():
        np.testing.assert_allclose(flat(split.parts[name]), part, rtol=1e-12)


def test_sgd_momentum_and_rmsprop_parts_follow_the_formulas():
    params, given = tree(7), sides(1)
    optimiser = OPTIMISERS["momentum"]
    state = warmed(optimiser, params)
    split = split_step(optimiser, state, params, given)
    np.testing.assert_allclose(flat(split.chosen), -ETA * flat(given.chosen))
    buffer = -ETA * MU * flat(state[0].trace)
    np.testing.assert_allclose(flat(split.momentum), buffer, rtol=1e-12)
    assert not flat(split.decay).any()

    optimiser = OPTIMISERS["rmsprop"]
    state = warmed(optimiser, params)
    split = split_step(optimiser, state, params, given)
    v = B2 * flat(state[0].nu) + (1 - B2) * flat(given.total) ** 2
    expected = -ETA * flat(given.rejected) / np.sqrt(v + EPS)
    np.testing.assert_allclose(flat(split.rejected), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "optimiser",
    [
        optax.lion(ETA),
        optax.sign_sgd(ETA),
        optax.lamb(ETA),
        optax.adafactor(ETA),
        optax.adabelief(ETA),
        optax.rmsprop(ETA, centered=True),
        optax.chain(optax.clip(0.1), optax.sgd(ETA)),
    ],
    ids=[
        "lion",
        "sign",
        "lamb",
        "adafactor",
        "adabelief",
        "centred",
        "elementwise-clip",
    ],
)
def test_what_is_not_affine_is_refused_or_kept_whole(optimiser):
    params, given = tree(7), sides(1)
    state = warmed(optimiser, params)
    with pytest.raises(GradlabError, match="no affine map"):
        split_step(optimiser, state, params, given)
    split = split_step(optimiser, state, params, given, undivided="keep")
    own, _ = optimiser.update(given.total, state, params)
    np.testing.assert_array_equal(flat(split.total), flat(own))
    assert split.parts == {}
    assert split.chosen is None
    assert "affine" in str(split.undivided)


def test_cancelling_parts_are_refused_in_float32_only():
    """First Adam step, g_r = -g_c(1 - 1e-4): v holds the small difference."""
    optimiser = optax.adam(ETA)
    for dtype in (jnp.float32, jnp.float64):
        params, chosen = tree(7, dtype), tree(1, dtype)
        rejected = jax.tree.map(lambda x: -x * (1 - 1e-4), chosen)
        given = SideGradients(jnp.zeros(1), chosen, rejected)
        state = optimiser.init(params)
        split = split_step(optimiser, state, params, given, undivided="keep")
        assert 1e4 < split.cancellation < 1e5
        assert bool(split.undivided) == (dtype == jnp.float32)


def test_a_coordinate_without_gradient_stays_put():
    """An embedding row outside the batch: v is 0, and nothing may become NaN."""
    optimiser = optax.adam(ETA)
    params, chosen, rejected = tree(7), tree(1), tree(2)
    clear = jax.tree.map(lambda x: x.at[0].set(0.0), chosen)
    given = SideGradients(
        jnp.zeros(1), clear, jax.tree.map(lambda x: x.at[0].set(0.0), rejected)
    )
    split = split_step(optimiser, optimiser.init(params), params, given)
    assert np.isfinite(flat(split.parts)).all()
    assert not flat(split.chosen["a"][0]).any()


def test_unknown_choice():
    with pytest.raises(GradlabError, match="undivided is 'skip'"):
        split_step(
            optax.sgd(1.0), optax.sgd(1.0).init({}), {}, sides(1), undivided="skip"
        )
