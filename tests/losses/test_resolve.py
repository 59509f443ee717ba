"""From text and functions to losses, and every refusal on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, dpo, exmate, resolve, weighted_sum
from gradlab.losses.resolve import split_outside

from .cases import random_pairs


def negative_margin(pairs, *, scale=1.0):
    return -scale * (pairs.chosen.sum(-1) - pairs.rejected.sum(-1))


not_a_function = 3


def test_a_name_a_function_and_a_bound_loss_are_the_same_loss():
    pairs = random_pairs(0, dtype=jnp.float32)
    for loss in ("dpo", dpo, resolve("dpo"), "dpo()"):
        np.testing.assert_array_equal(
            resolve(loss, beta=0.3)(pairs), dpo(pairs, beta=0.3)
        )
        assert resolve(loss).info is LOSSES["dpo"]


def test_settings_in_parentheses():
    bound = resolve("ipo(tau=0.5, reduction=mean)")
    assert bound.hyper == {"tau": 0.5, "reduction": "mean"}
    assert resolve("ipo(reduction='mean')").hyper == {"reduction": "mean"}
    assert resolve("dpop(lam=5)", lam=7).hyper == {"lam": 7}
    assert bound.label == "ipo(tau=0.5, reduction=mean)"


def test_aliases_keep_the_name_that_was_used():
    assert resolve("sft").label == "sft"
    assert resolve("sft").function is LOSSES["mle"].function


def test_the_users_own_function_by_path():
    name = f"{__name__}:negative_margin"
    pairs = random_pairs(1, dtype=jnp.float32)
    bound = resolve(f"{name}(scale=2)")
    np.testing.assert_allclose(bound(pairs), negative_margin(pairs, scale=2.0))
    assert bound.closed_form(pairs) is None
    assert not bound.couples_batch


def test_a_sum_is_the_sum_in_value_and_weights():
    with jax.enable_x64(True):
        pairs = random_pairs(2)
        for loss in (
            "dpo(beta=0.2) + 0.5*exmate(lam=0.7)",
            weighted_sum([(1, "dpo", {"beta": 0.2}), (0.5, exmate, {"lam": 0.7})]),
        ):
            bound = resolve(loss)
            expected = dpo(pairs, beta=0.2) + 0.5 * exmate(pairs, lam=0.7)
            np.testing.assert_allclose(bound(pairs), expected, rtol=1e-14)
            weights, closed = token_weights(bound, pairs), bound.closed_form(pairs)
            np.testing.assert_allclose(weights.chosen, closed.chosen, rtol=1e-12)
            np.testing.assert_allclose(weights.rejected, closed.rejected, rtol=1e-12)
            assert bound.needs_reference
            assert not bound.couples_batch
    assert resolve("mle + exmate(reduction=batch)").couples_batch


def test_factors_and_exponents():
    terms = resolve("1e+1*mle + 2.5e-1*exmate").terms
    assert [factor for factor, _ in terms] == [10.0, 0.25]


def test_splitting_respects_parentheses_and_quotes():
    assert split_outside("a(x=1,y=[1,2]),b(z='p,q'),c", ",") == [
        "a(x=1,y=[1,2])",
        "b(z='p,q')",
        "c",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dpoo", r"unknown loss 'dpoo'; did you mean .*dpo"),
        ("zzz", "unknown loss 'zzz'; Known: "),
        ("dpo(bta=1)", "loss 'dpo' has no hyperparameter 'bta'; expected beta"),
        ("dpo(0.1)", "keyword=value settings only"),
        ("dpo(beta=)", "can't read the settings"),
        ("dpo(beta=__import__('os').getcwd())", "can't read the settings"),
        ("dpo +", "'' is no name"),
        ("", "is no name"),
        ("2*dpo 3", "is no name"),
        ("no_such_module_x:loss", "can't import the loss 'no_such_module_x:loss'"),
        (f"{__name__}:missing", "can't import the loss"),
        (f"{__name__}:not_a_function", "is a int"),
        (3.5, "a loss is a name or a function"),
    ],
)
def test_refusals(spec, message):
    with pytest.raises(LossInputError, match=message):
        resolve(spec)


def test_hyperparameters_of_a_sum_belong_to_its_terms():
    with pytest.raises(LossInputError, match="give hyperparameters to the terms"):
        resolve("dpo + mle", beta=1)
    with pytest.raises(LossInputError, match="at least one"):
        weighted_sum([])


def test_a_required_hyperparameter_is_asked_for():
    def needs_delta(pairs, *, delta):
        return delta * pairs.chosen.sum(-1)

    with pytest.raises(LossInputError, match="needs a value for delta"):
        resolve(needs_delta)
