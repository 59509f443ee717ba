"""Wrong arrays and wrong hyperparameters are refused by name."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from gradlab.errors import LossInputError
from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, dpo, exmate, simpo

from .cases import random_pairs


@pytest.fixture
def pairs():
    return random_pairs(0, dtype=jnp.float32)


def test_every_optional_field_is_named_when_its_shape_is_wrong(pairs):
    for field in ("chosen_mask", "ref_rejected", "chosen_logsumsq", "rejected_keep"):
        with pytest.raises(LossInputError, match=rf"PairLogps\.{field} has shape \(3,"):
            dpo(replace(pairs, **{field: getattr(pairs, field)[:, :2]}))


def test_unequal_batches_are_refused(pairs):
    broken = replace(
        pairs,
        rejected=pairs.rejected[:2],
        rejected_mask=pairs.rejected_mask[:2],
        ref_rejected=None,
        rejected_logsumsq=None,
        rejected_keep=None,
    )
    with pytest.raises(LossInputError, match="same B"):
        exmate(broken)


def test_integers_are_refused(pairs):
    with pytest.raises(LossInputError, match="expected float log-probabilities"):
        exmate(replace(pairs, chosen=jnp.ones((3, 5), jnp.int32)))


def test_shapes_are_checked_under_jit_too(pairs):
    with pytest.raises(LossInputError, match="chosen_mask"):
        jax.jit(dpo)(replace(pairs, chosen_mask=pairs.chosen_mask[:, :2]))


@pytest.mark.parametrize("value", [0.5, jnp.nan, jnp.inf])
def test_what_is_no_log_probability_is_refused_with_its_place(pairs, value):
    broken = replace(pairs, rejected=pairs.rejected.at[1, 0].set(value))
    with pytest.raises(LossInputError, match=r"PairLogps\.rejected\[1, 0\] is"):
        token_weights("dpo", broken)


def test_a_positive_entry_outside_the_mask_is_fine(pairs):
    mask = pairs.rejected_mask.at[1, -1].set(0)
    broken = replace(
        pairs, rejected=pairs.rejected.at[1, -1].set(5.0), rejected_mask=mask
    )
    assert jnp.all(jnp.isfinite(token_weights("dpo", broken).rejected))


@pytest.mark.parametrize(
    "name", [n for n in LOSSES if "reduction" in LOSSES[n].defaults]
)
def test_unknown_reduction(pairs, name):
    with pytest.raises(LossInputError, match=r"reduction='avg' is unknown; expected"):
        token_weights(name, pairs, reduction="avg")


@pytest.mark.parametrize("eps", [-0.1, 1.0, 2.0])
def test_label_smoothing_out_of_range(pairs, eps):
    with pytest.raises(LossInputError, match=r"label_smoothing=.* expected \[0.0, 1.0"):
        dpo(pairs, label_smoothing=eps)


def test_simpo_takes_one_name_of_its_margin(pairs):
    with pytest.raises(LossInputError, match="two names of one margin"):
        simpo(pairs, gamma=1.0, gamma_beta_ratio=0.5)
    assert jnp.allclose(simpo(pairs, gamma_beta_ratio=0.6), simpo(pairs, gamma=1.2))
