"""Trainers of TRL end to end: collator, model, fused head, loss, parameter gradient.

The parameter gradient of a preference loss is J^T w: the library's token weights w,
pulled back through TRL's own model, must give the gradient of TRL's own loss.
"""

import importlib
import warnings

import numpy as np
import pytest

from gradlab.gradients import value_and_token_weights
from gradlab.types import PairLogps
from tests.parity.compare import relative_error, value_error

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def real(trl_live):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("tests.parity.real_trainers")


def check(real, trainer, batch, views, loss, kl_logratios=None):
    """Compares value and parameter gradient of TRL's loss with the library's.

    `views` are (ids, attention mask, response mask) of the chosen rows and of the
    rejected rows.
    """
    torch = importlib.import_module("torch")
    model, reference = trainer.model, getattr(trainer, "ref_model", None)
    value = trainer.compute_loss(model, dict(batch))
    expected = real.parameter_gradient(model, value)

    logps, fields = {}, {"kl_logratios": kl_logratios}
    for side, (ids, attention, mask) in zip(("chosen", "rejected"), views, strict=True):
        logps[side], log_sum_sq = real.token_stats(model, ids, attention)
        fields[side] = logps[side].detach().numpy()
        fields[f"{side}_mask"] = mask[:, 1:].bool().numpy()
        fields[f"{side}_logsumsq"] = log_sum_sq.numpy()
        if reference is not None:
            ref_logps, _ = real.token_stats(reference, ids, attention)
            fields[f"ref_{side}"] = ref_logps.detach().numpy()
    values, weights = value_and_token_weights(loss, PairLogps(**fields))
    assert value_error(values, value.item()) <= TOLERANCE

    pulled_back = sum(
        (logps[side] * torch.tensor(np.asarray(getattr(weights, side)))).sum()
        for side in ("chosen", "rejected")
    )
    gradient = real.parameter_gradient(model, pulled_back / len(values))
    assert relative_error(gradient, expected) <= TOLERANCE


DPO = [
    ({"loss_type": ["sigmoid"]}, "dpo(beta=0.1)"),
    ({"loss_type": ["ipo"], "beta": 0.3}, "ipo(tau=0.3, reduction=mean)"),
    ({"loss_type": ["sigmoid_norm"], "beta": 5.0}, "averaged_dpo(beta=5.0)"),
    ({"ld_alpha": 0.4}, "lddpo(beta=0.1, alpha=0.4)"),
    ({"use_weighting": True}, "wpo(beta=0.1, clamp=False)"),
    (
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
        "dpo + 0.5*mle(reduction=batch)",
    ),
]


@pytest.mark.parametrize(("settings", "loss"), DPO)
def test_dpo_trainer(trl_live, real, tmp_path, settings, loss):
    trainer, batch = real.build(
        trl_live.DPOTrainer, trl_live.DPOConfig, tmp_path, reference=True, **settings
    )
    halves = (
        batch[name].chunk(2)
        for name in ("input_ids", "attention_mask", "completion_mask")
    )
    check(real, trainer, batch, list(zip(*halves, strict=True)), loss)


CPO = [
    ({}, "cpo(beta=0.1, alpha=1.0, nll_reduction=batch)"),
    (
        {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "cpo_alpha": 0.0},
        "simpo(beta=2.0, gamma=0.5)",
    ),
]


@pytest.mark.parametrize(("settings", "loss"), CPO)
def test_cpo_trainer(trl_live, real, tmp_path, settings, loss):
    trainer, batch = real.build(
        trl_live.CPOTrainer, trl_live.CPOConfig, tmp_path, reference=False, **settings
    )
    views = [
        (
            batch[f"{side}_input_ids"],
            batch[f"{side}_attention_mask"],
            batch[f"{side}_labels"] != -100,
        )
        for side in ("chosen", "rejected")
    ]
    check(real, trainer, batch, views, loss)


def test_kto_trainer(trl_live, real, tmp_path):
    torch = importlib.import_module("torch")
    trainer, batch = real.build(
        trl_live.KTOTrainer, trl_live.KTOConfig, tmp_path, reference=True
    )
    desirable = batch["label"].bool()
    assert desirable.sum() == (~desirable).sum()
    views = [
        tuple(
            batch[name][rows]
            for name in ("input_ids", "attention_mask", "completion_mask")
        )
        for rows in (desirable, ~desirable)
    ]
    ids, attention = batch["KL_input_ids"], batch["KL_attention_mask"]
    mask = batch["KL_completion_mask"][:, 1:]
    with torch.no_grad():
        now, ref = (
            (real.token_stats(model, ids, attention)[0] * mask).sum(-1)
            for model in (trainer.model, trainer.ref_model)
        )
    check(real, trainer, batch, views, "kto(beta=0.1)", (now - ref).numpy())


def test_exo_is_refused_at_the_default_label_smoothing(trl_live, real, tmp_path):
    with pytest.raises(ValueError, match="Label smoothing must be greater than 0"):
        real.build(
            trl_live.DPOTrainer,
            trl_live.DPOConfig,
            tmp_path,
            reference=True,
            loss_type=["exo_pair"],
        )


@pytest.mark.parametrize("loss_type", ["aot", "aot_unpaired"])
def test_weighting_is_refused_for_sorted_losses(trl_live, real, tmp_path, loss_type):
    with pytest.raises(NotImplementedError, match="WPO"):
        real.build(
            trl_live.DPOTrainer,
            trl_live.DPOConfig,
            tmp_path,
            reference=True,
            loss_type=[loss_type],
            use_weighting=True,
        )
