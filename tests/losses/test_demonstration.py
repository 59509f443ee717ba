"""GSIL and DIL: the warning, the optimum, the clip."""

import re
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.losses import dil, gsil
from gradlab.losses.closed_form.demonstration import density_ratio_slopes
from gradlab.losses.demonstration import GSIL_KINDS

from .cases import random_pairs


@pytest.mark.parametrize(
    ("scale", "shift", "nats"), [(0.01, 2.0, -200), (0.1, 0.1, -1)]
)
def test_a_shift_is_warned_of_with_the_optimum_that_it_sets(scale, shift, nats):
    message = re.escape(f"shift={shift} moves the optimum") + f".*at {nats} nats"
    with pytest.warns(UserWarning, match=message):
        gsil(random_pairs(0), scale=scale, shift=shift)


def test_the_warning_comes_when_a_jitted_loss_is_traced():
    with pytest.warns(UserWarning, match="loss 'gsil': shift=2.0"):
        jax.jit(lambda p: gsil(p, shift=2.0))(random_pairs(0))


def test_no_warning_without_shift():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gsil(random_pairs(0), shift=0.0)
        jax.vmap(lambda shift: gsil(random_pairs(0), shift=shift))(jnp.arange(2.0))


@pytest.mark.parametrize("kind", [k for k in GSIL_KINDS if k != "hinge"])
def test_slopes_have_the_ratio_of_densities(kind):
    """D_l / -D_w = exp(z): the common optimum is the log density ratio."""
    with jax.enable_x64(True):
        z = jnp.linspace(-5.0, 5.0, 21)
        real, generated = density_ratio_slopes(z, z, kind, None)
        np.testing.assert_allclose(generated / -real, jnp.exp(z), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "moves_at"),
    [
        (lambda p: gsil(p, kind="kliep", scale=1.0, exp_clip=1.0), 1.0),
        (lambda p: gsil(p, kind="lsif", scale=1.0, exp_clip=1.0), 0.5),
        (lambda p: dil(p, exp_clip=1.0), 0.5),
        (lambda p: dil(p, kind="ukl", exp_clip=1.0), 1.0),
    ],
)
def test_the_clip_applies_to_the_final_argument(loss, moves_at):
    """2z in LSIF: the rejected side stands still from z = clip / 2 on."""
    pairs = random_pairs(1, batch=1, chosen_width=1, rejected_width=1)

    def total(b):
        ones = jnp.ones((1, 1))
        shifted = replace(
            pairs,
            rejected=pairs.ref_rejected + b,
            chosen_mask=ones,
            rejected_mask=ones,
        )
        return jnp.sum(loss(shifted))

    assert jax.grad(total)(moves_at - 0.01) > 0
    assert jax.grad(total)(moves_at + 0.01) == 0
