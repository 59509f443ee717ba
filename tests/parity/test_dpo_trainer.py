"""Every loss type of TRL's DPO trainer: value, and gradient at every response token."""

import re

import numpy as np
import pytest

from tests.parity.batches import ragged
from tests.parity.compare import (
    BATCHES,
    TOLERANCE,
    on_logps,
    relative_error,
    value_error,
)

pytestmark = pytest.mark.parity

# TRL's settings, and the library's name for what they compute.
SETTINGS = [
    ({"loss_type": "sft"}, "mle(reduction=batch)"),
    ({"loss_type": "sigmoid"}, "dpo(beta=0.1)"),
    ({"loss_type": "sigmoid", "beta": 0.7}, "dpo(beta=0.7)"),
    ({"loss_type": "ipo"}, "ipo(tau=0.1, reduction=mean)"),
    ({"loss_type": "ipo", "beta": 0.9}, "averaged_ipo(tau=0.9)"),
    ({"loss_type": "sigmoid_norm", "beta": 5.0}, "averaged_dpo(beta=5.0)"),
    ({"loss_type": "sigmoid_norm", "beta": 0.3}, "averaged_dpo(beta=0.3)"),
    ({"loss_type": "hinge"}, "hinge(beta=0.1)"),
    ({"loss_type": "hinge", "beta": 1.5}, "hinge(beta=1.5)"),
    (
        {"loss_type": "exo_pair", "label_smoothing": 1e-3},
        "exo_pair(beta=0.1, label_smoothing=0.001)",
    ),
    (
        {"loss_type": "exo_pair", "beta": 0.8, "label_smoothing": 0.2},
        "exo_pair(beta=0.8, label_smoothing=0.2)",
    ),
    ({"loss_type": "nca_pair", "beta": 0.01}, "nca_pair(beta=0.01)"),
    ({"loss_type": "nca_pair", "beta": 0.6}, "nca_pair(beta=0.6)"),
    (
        {"loss_type": "robust", "label_smoothing": 0.1},
        "robust_dpo(beta=0.1, label_smoothing=0.1)",
    ),
    (
        {"loss_type": "robust", "beta": 0.5, "label_smoothing": 0.35},
        "robust_dpo(beta=0.5, label_smoothing=0.35)",
    ),
    ({"loss_type": "bco_pair"}, "bco_pair(beta=0.1)"),
    ({"loss_type": "bco_pair", "beta": 0.8}, "bco_pair(beta=0.8)"),
    ({"loss_type": "sppo_hard", "beta": 0.001}, "sppo_hard(beta=0.001)"),
    ({"loss_type": "sppo_hard", "beta": 0.4}, "sppo_hard(beta=0.4)"),
    ({"loss_type": "aot", "beta": 0.01}, "aot(beta=0.01)"),
    (
        {"loss_type": "aot", "beta": 0.5, "label_smoothing": 0.1},
        "aot(beta=0.5, label_smoothing=0.1)",
    ),
    ({"loss_type": "aot_unpaired", "beta": 0.01}, "aot_unpaired(beta=0.01)"),
    (
        {"loss_type": "aot_unpaired", "beta": 0.5, "label_smoothing": 0.1},
        "aot_unpaired(beta=0.5, label_smoothing=0.1)",
    ),
    ({"loss_type": "apo_zero"}, "apo_zero(beta=0.1)"),
    ({"loss_type": "apo_zero", "beta": 0.9}, "apo_zero(beta=0.9)"),
    ({"loss_type": "apo_down"}, "apo_down(beta=0.1)"),
    ({"loss_type": "apo_down", "beta": 0.9}, "apo_down(beta=0.9)"),
    ({"loss_type": "discopop", "beta": 0.05}, "discopop(beta=0.05, tau=0.05)"),
    (
        {"loss_type": "discopop", "beta": 0.5, "discopop_tau": 0.8},
        "discopop(beta=0.5, tau=0.8)",
    ),
    ({"f_divergence_type": "reverse_kl"}, "f_dpo(divergence=reverse_kl)"),
    ({"f_divergence_type": "forward_kl"}, "f_dpo(divergence=forward_kl)"),
    (
        {"f_divergence_type": "forward_kl", "beta": 0.6},
        "f_dpo(divergence=forward_kl, beta=0.6)",
    ),
    ({"f_divergence_type": "js_divergence"}, "f_dpo(divergence=js)"),
    (
        {"f_divergence_type": "js_divergence", "beta": 0.6},
        "f_dpo(divergence=js, beta=0.6)",
    ),
    ({"f_divergence_type": "alpha_divergence"}, "f_dpo(divergence=alpha, alpha=0.5)"),
    # TRL's coefficient is 1 - alpha.
    (
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.8},
        "f_dpo(divergence=alpha, alpha=0.2)",
    ),
    ({"ld_alpha": 0.5}, "lddpo(beta=0.1, alpha=0.5)"),
    ({"ld_alpha": 0.0, "beta": 0.6}, "lddpo(beta=0.6, alpha=0.0)"),
    ({"ld_alpha": 1.0}, "dpo(beta=0.1)"),
    ({"use_weighting": True, "beta": 0.01}, "wpo(beta=0.01, clamp=False)"),
    ({"use_weighting": True, "beta": 0.6}, "wpo(beta=0.6, clamp=False)"),
    (
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]},
        "dpo_mle(beta=0.1, weight=0.3, reduction=batch)",
    ),
    (
        {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]},
        "0.8*dpo + 0.2*bco_pair + mle(reduction=batch)",
    ),
]
# In float64 TRL refuses the alpha divergence (see the tests of its deviations).
FLOAT64 = [s for s in SETTINGS if s[0].get("f_divergence_type") != "alpha_divergence"]
CASES = [(s, np.float32) for s in SETTINGS] + [(s, np.float64) for s in FLOAT64]


def case_id(case) -> str:
    (_, loss), dtype = case
    return f"{loss.replace(' ', '')}-{dtype.__name__}"


def largest_errors(trl_live, setting, dtype) -> tuple[float, float]:
    """Relative errors of the value and of the gradient, worst of all batches."""
    settings, loss = setting
    errors = np.zeros(2)
    for seed in range(BATCHES):
        batch = ragged(seed)
        theirs = trl_live.dpo(batch, dtype, **settings)
        values, *weights = on_logps(loss, batch, dtype)
        ours = np.concatenate(weights)
        expected = np.concatenate([theirs.chosen, theirs.rejected])
        found = value_error(values, theirs.value), relative_error(ours, expected)
        errors = np.maximum(errors, found)
    return tuple(errors)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_value_and_gradient(trl_live, case):
    setting, dtype = case
    of_value, of_gradient = largest_errors(trl_live, setting, dtype)
    assert of_value <= TOLERANCE[dtype]
    assert of_gradient <= TOLERANCE[dtype]


def test_every_loss_type_is_covered(trl_live):
    """TRL names its loss types when it refuses one."""
    with pytest.raises(ValueError, match="Unknown loss type") as refusal:
        trl_live.dpo(ragged(0), np.float32, loss_type="no_such_type")
    known = set(re.findall(r"'(\w+)'", str(refusal.value)))
    tested = {name for s, _ in SETTINGS for name in _types(s)}
    assert known == tested


def test_every_divergence_is_covered(trl_live):
    documentation = " ".join(trl_live.DPOConfig.__doc__.split())
    listed = re.search(
        r"f-divergence regularizer .*?Possible values are: (.*?)\. ", documentation
    )
    assert listed is not None, "TRL's documentation no longer lists its divergences"
    tested = {s.get("f_divergence_type") for s, _ in SETTINGS} - {None}
    assert set(re.findall(r"`(\w+)`", listed[1])) == tested


def _types(settings: dict) -> list[str]:
    types = settings.get("loss_type", "sigmoid")
    return [types] if isinstance(types, str) else types
