"""TRL's CPO trainer (CPO, SimPO, AlphaPO): value, and gradient at every logit."""

import re

import numpy as np
import pytest

from tests.parity.batches import ragged_logits
from tests.parity.compare import (
    BATCHES,
    TOLERANCE,
    on_logits,
    relative_error,
    value_error,
)

pytestmark = pytest.mark.parity

SETTINGS = [
    ({}, "cpo(beta=0.1, alpha=1.0, nll_reduction=batch)"),
    (
        {"beta": 0.5, "cpo_alpha": 0.3, "label_smoothing": 0.2},
        "cpo(beta=0.5, alpha=0.3, label_smoothing=0.2, nll_reduction=batch)",
    ),
    ({"cpo_alpha": 0.0}, "cpo(beta=0.1, alpha=0.0)"),
    # The reference of these batches is 0, so DPO's ratios are plain log-probabilities.
    ({"cpo_alpha": 0.0, "beta": 0.3}, "dpo(beta=0.3)"),
    (
        {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "cpo_alpha": 0.0},
        "simpo(beta=2.0, gamma=0.5)",
    ),
    (
        {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "cpo_alpha": 0.0},
        "simpo(beta=2.0, gamma_beta_ratio=0.25)",
    ),
    (
        {
            "loss_type": "simpo",
            "beta": 2.5,
            "simpo_gamma": 1.4,
            "cpo_alpha": 0.0,
            "label_smoothing": 0.15,
        },
        "simpo(beta=2.5, gamma=1.4, label_smoothing=0.15)",
    ),
    (
        {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "cpo_alpha": 0.7},
        "simpo(beta=2.0, gamma=0.5) + 0.7*mle(reduction=batch)",
    ),
    (
        {
            "loss_type": "simpo",
            "alpha": 0.25,
            "beta": 2.5,
            "simpo_gamma": 0.1,
            "cpo_alpha": 0.0,
        },
        "alphapo(alpha=0.25, beta=2.5, gamma=0.1)",
    ),
    (
        {
            "loss_type": "simpo",
            "alpha": -0.5,
            "beta": 1.0,
            "simpo_gamma": 0.3,
            "cpo_alpha": 0.0,
        },
        "alphapo(alpha=-0.5, beta=1.0, gamma=0.3)",
    ),
    (
        {"loss_type": "hinge", "beta": 0.5, "cpo_alpha": 0.0},
        "slic(delta=1.0, beta=0.5, lam=0.0)",
    ),
    (
        {"loss_type": "hinge", "beta": 0.5, "cpo_alpha": 0.2},
        "slic(delta=1.0, beta=0.5, lam=0.0) + 0.2*mle(reduction=batch)",
    ),
    (
        {"loss_type": "ipo", "beta": 0.4, "cpo_alpha": 0.0},
        "ipo(tau=0.4, reduction=mean)",
    ),
]


def largest_errors(trl_live, setting, dtype) -> tuple[float, float]:
    """Relative errors of the value and of the gradient, worst of all batches."""
    settings, loss = setting
    errors = np.zeros(2)
    for seed in range(BATCHES):
        batch = ragged_logits(seed)
        value, expected = trl_live.cpo(batch, dtype, **settings)
        values, gradient = on_logits(loss, batch, dtype)
        found = value_error(values, value), relative_error(gradient, expected)
        errors = np.maximum(errors, found)
    return tuple(errors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s[1].replace(" ", ""))
def test_value_and_gradient(trl_live, setting, dtype):
    of_value, of_gradient = largest_errors(trl_live, setting, dtype)
    assert of_value <= TOLERANCE[dtype]
    assert of_gradient <= TOLERANCE[dtype]


def test_every_loss_type_is_covered(trl_live):
    """TRL names its loss types when it refuses one."""
    with pytest.raises(ValueError, match="Unknown loss type") as refusal:
        trl_live.cpo(ragged_logits(0), np.float32, loss_type="no_such_type")
    known = set(re.findall(r"'(\w+)'", str(refusal.value)))
    assert known == {s.get("loss_type", "sigmoid") for s, _ in SETTINGS}


def test_its_default_adds_the_likelihood_of_the_chosen_response_to_simpo(trl_live):
    """SimPO as published needs `cpo_alpha=0`; the default is 1."""
    assert trl_live.config_defaults(trl_live.CPOConfig)["cpo_alpha"] == 1.0
    simpo = {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5}
    for seed in range(5):
        batch = ragged_logits(seed)
        value, _ = trl_live.cpo(batch, np.float64, **simpo)
        published, _ = on_logits("simpo(beta=2.0, gamma=0.5)", batch, np.float64)
        likelihood, _ = on_logits("mle(reduction=batch)", batch, np.float64)
        assert value_error(published + likelihood, value) < 1e-12
        assert np.mean(likelihood) > 0.1


def test_its_likelihood_term_is_a_mean_over_the_tokens_of_the_batch(trl_live):
    """Not over each response, which is the library's default for `cpo`."""
    batch = ragged_logits(1)
    value, _ = trl_live.cpo(batch, np.float64)
    ours, _ = on_logits("cpo(beta=0.1, alpha=1.0)", batch, np.float64)
    batchwise, _ = on_logits("cpo(nll_reduction=batch)", batch, np.float64)
    assert value_error(batchwise, value) < 1e-12
    assert value_error(ours, value) > 1e-3


def test_hinge_and_ipo_ignore_label_smoothing(trl_live):
    batch = ragged_logits(2)
    for loss_type in ("hinge", "ipo"):
        plain, _ = trl_live.cpo(batch, np.float64, loss_type=loss_type)
        smooth, _ = trl_live.cpo(
            batch, np.float64, loss_type=loss_type, label_smoothing=0.3
        )
        assert plain == smooth


def test_alphapo_overflows_where_the_mean_probability_underflows(trl_live):
    """TRL forms exp(A) before the power: 0**-alpha is infinite below A = -104."""
    settings = {
        "loss_type": "simpo",
        "alpha": 0.25,
        "beta": 2.5,
        "simpo_gamma": 0.1,
        "cpo_alpha": 0.0,
    }
    batch = ragged_logits(3, equal_lengths=True)
    batch.logits[:] = 0.0
    rows, positions = np.nonzero(batch.response)
    batch.logits[rows, positions - 1, batch.tokens[rows, positions]] = -120.0
    value, gradient = trl_live.cpo(batch, np.float32, **settings)
    assert np.isnan(value)
    assert np.isnan(gradient).any()
    values, gradient = on_logits(
        "alphapo(alpha=0.25, beta=2.5, gamma=0.1)", batch, np.float32
    )
    assert np.isfinite(values).all()
    assert np.isfinite(gradient).all()


def test_an_empty_response_is_nan(trl_live):
    """TRL divides by an unclamped length; the library counts such a response as 1."""
    batch = ragged_logits(4)
    batch.response[0] = False
    simpo = {"loss_type": "simpo", "beta": 2.0, "cpo_alpha": 0.0}
    value, _ = trl_live.cpo(batch, np.float64, **simpo)
    assert np.isnan(value)
    values, gradient = on_logits("simpo(beta=2.0, gamma=0.5)", batch, np.float64)
    assert np.isfinite(values).all()
    assert np.isfinite(gradient).all()
