import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.training.config import OptimiserSettings
from gradlab.training.optimisers import (
    decay_mask,
    hyper_schedules,
    learning_rate,
    make_optimiser,
)

PARAMS = {"layer": {"kernel": jnp.array([2.0, -1.0]), "scale": jnp.array([1.0])}}
GRADS = {"layer": {"kernel": jnp.array([0.3, -0.4]), "scale": jnp.array([1.2])}}


def moved(steps=1, **settings):
    optimiser = make_optimiser(OptimiserSettings(**settings), steps=10)
    params, state = PARAMS, optimiser.init(PARAMS)
    for _ in range(steps):
        change, state = optimiser.update(GRADS, state, params)
        params = jax.tree.map(jnp.add, params, change)
    return params["layer"]


def test_sgd_by_hand():
    found = moved(name="sgd", learning_rate=0.1, schedule="constant", clip_norm=None)
    np.testing.assert_allclose(found["kernel"], [1.97, -0.96], rtol=1e-6)


def test_clipping_scales_the_whole_gradient():
    # The norm is sqrt(0.09 + 0.16 + 1.44) = 1.3.
    found = moved(name="sgd", learning_rate=1.3, schedule="constant", clip_norm=1.0)
    np.testing.assert_allclose(found["kernel"], [1.7, -0.6], rtol=1e-6)


def test_adamw_by_hand():
    # After bias correction the first step is lr * sign(g), and decay is lr * wd * p.
    found = moved(learning_rate=0.1, weight_decay=0.5, schedule="constant")
    np.testing.assert_allclose(found["kernel"], [2 - 0.1 - 0.1, -1 + 0.1 + 0.05], 1e-5)
    np.testing.assert_allclose(found["scale"], [0.9], rtol=1e-5)


def test_rmsprop_adds_eps_outside_the_root():
    found = moved(
        name="rmsprop", learning_rate=0.1, b2=0.9, eps=0.5, schedule="constant",
        clip_norm=None,
    )  # fmt: skip
    expected = 2 - 0.1 * 0.3 / (np.sqrt(0.1 * 0.09) + 0.5)
    np.testing.assert_allclose(found["kernel"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop", "adafactor"])
def test_every_rule_goes_downhill(name):
    found = moved(steps=3, name=name, learning_rate=0.01)
    assert found["kernel"][0] < 2
    assert found["kernel"][1] > -1


def test_decay_spares_by_path():
    mask = decay_mask(r"(scale|bias)$")(PARAMS)
    assert mask == {"layer": {"kernel": True, "scale": False}}
    with pytest.raises(GradlabError, match="no_decay is '\\('"):
        decay_mask("(")


def test_schedules_of_the_learning_rate():
    def rates(**settings):
        rate = learning_rate(OptimiserSettings(learning_rate=2.0, **settings), 10)
        return [round(float(rate(step)), 6) for step in range(11)]

    assert rates(schedule="constant") == [2.0] * 11
    assert rates(schedule="linear")[::5] == [2.0, 1.0, 0.0]
    assert rates(schedule="cosine")[::5] == [2.0, 1.0, 0.0]
    assert rates(schedule="linear", warmup=0.2)[:4] == [0.0, 1.0, 2.0, 1.75]
    assert rates(schedule="linear", warmup=0.2) == rates(schedule="linear", warmup=2)


def test_scheduled_hyperparameters():
    values = hyper_schedules(("f=linear(0.5,1)", "beta=cosine(1,0)"), 4)
    assert [float(values["f"](k)) for k in (0, 2, 4)] == [0.5, 0.75, 1.0]
    assert [round(float(values["beta"](k)), 6) for k in (0, 2, 4)] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("text", ["f", "f=0.5", "f=linear(1)", "f=linear(a,b)"])
def test_a_schedule_that_can_not_be_read(text):
    with pytest.raises(GradlabError, match="loss_schedule is"):
        hyper_schedules((text,), 4)
