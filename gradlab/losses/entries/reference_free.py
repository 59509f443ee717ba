"""Losses without reference."""

from gradlab.losses import averaged_reward, reference_free
from gradlab.losses.closed_form import averaged_reward as averaged_reward_weights
from gradlab.losses.closed_form import reference_free as reference_free_weights
from gradlab.losses.info import LossInfo

REFERENCE_FREE: dict[str, LossInfo] = {
    "slic": LossInfo(
        reference_free.slic,
        family="reference_free",
        formula="max(0, delta - beta (S_w - S_l)) - lam S_w",
        citation="zhao2023slichf",
        closed_form=reference_free_weights.slic_weights,
        defaults_source="delta, lam: HALOs; beta: choice",
    ),
    "simpo": LossInfo(
        averaged_reward.simpo,
        family="reference_free",
        formula="-log s(beta (A_w - A_l) - gamma)",
        citation="meng2024simpo",
        closed_form=averaged_reward_weights.simpo_weights,
        defaults_source="beta and gamma/beta = 0.25: the authors' code",
    ),
    "cpo": LossInfo(
        reference_free.cpo,
        family="reference_free",
        formula="-log s(beta (S_w - S_l)) - alpha A_w",
        citation="xu2024contrastive",
        closed_form=reference_free_weights.cpo_weights,
        defaults_source="beta, alpha: TRL; mean: choice, so that pairs do not couple",
        couples_batch=("nll_reduction", "batch"),
    ),
    "orpo": LossInfo(
        reference_free.orpo,
        family="reference_free",
        formula="-A_w - lam log s(log odds_w - log odds_l)",
        citation="hong2024orpo",
        closed_form=reference_free_weights.orpo_weights,
        defaults_source="lam: TRL",
    ),
    "alphapo": LossInfo(
        averaged_reward.alphapo,
        family="reference_free",
        formula="-log s(beta (e^(-alpha A_l) - e^(-alpha A_w)) / alpha - gamma)",
        citation="gupta2025alphapo",
        closed_form=averaged_reward_weights.alphapo_weights,
        defaults_source="Mistral-Instruct setting in the TRL documentation",
    ),
}
