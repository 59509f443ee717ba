"""A user's own loss is tried when it is loaded by path."""

import jax
import jax.numpy as jnp
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import random_pairs, resolve


def fine(pairs, *, scale=1.0):
    return -scale * jnp.sum(jnp.where(pairs.chosen_mask > 0, pairs.chosen, 0.0), -1)


def no_pairs(*, scale=1.0):
    return scale


def crashes(pairs):
    return pairs.chosen @ pairs.rejected


def one_number(pairs):
    return jnp.mean(pairs.chosen)


def integers(pairs):
    return jnp.sum(pairs.chosen_mask, -1).astype(jnp.int32)


def not_finite(pairs):
    return jnp.log(jnp.sum(pairs.chosen, -1))


def not_an_array(pairs):
    return "loss"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_pairs", "takes no pairs; expected"),
        (
            "crashes",
            r"failed on a probe batch of 3 pairs: TypeError: .*expected \(pairs",
        ),
        ("one_number", r"returned float32\[\] for a probe batch of 3 pairs; expected"),
        ("integers", r"returned int32\[3\]"),
        ("not_finite", "expected finite values"),
        ("not_an_array", "failed on a probe batch"),
    ],
)
def test_refused_when_loaded(name, message):
    with pytest.raises(LossInputError, match=message):
        resolve(f"{__name__}:{name}")


def test_a_bad_setting_is_refused_before_the_probe():
    with pytest.raises(LossInputError, match="no hyperparameter 'scal'"):
        resolve(f"{__name__}:fine(scal=2)")


def test_the_settings_reach_the_probe():
    with pytest.raises(LossInputError, match="expected finite values"):
        resolve(f"{__name__}:fine", scale=float("inf"))


def test_a_path_can_be_resolved_while_tracing():
    pairs = random_pairs(0)
    name = f"{__name__}:fine(scale=2)"
    jitted = jax.jit(lambda p: token_weights(name, p))(pairs)
    assert jnp.all(jitted.chosen == -2 * pairs.chosen_mask)


def test_a_function_is_taken_as_it_is():
    assert resolve(one_number).label == "one_number"
