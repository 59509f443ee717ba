"""Likelihood losses."""

from gradlab.losses import likelihood, treatment_effect
from gradlab.losses.closed_form import likelihood as likelihood_weights
from gradlab.losses.closed_form import treatment_effect as treatment_effect_weights
from gradlab.losses.info import LossInfo

LIKELIHOOD: dict[str, LossInfo] = {
    "mle": LossInfo(
        likelihood.mle,
        family="likelihood",
        formula="-S_w",
        citation="bishop2006pattern",
        closed_form=likelihood_weights.mle_weights,
        defaults_source="sum: the form the theory is written for",
        couples_batch=("reduction", "batch"),
    ),
    "unlikelihood_token": LossInfo(
        likelihood.unlikelihood_token,
        family="likelihood",
        formula="-S_w - alpha sum_t log(1 - p_l,t)",
        citation="welleck2019neural",
        closed_form=likelihood_weights.unlikelihood_token_weights,
        defaults_source="alpha: the paper and its code; sum: choice",
    ),
    "unlikelihood_sequence": LossInfo(
        likelihood.unlikelihood_sequence,
        family="likelihood",
        formula="-S_w - alpha log(1 - exp(S_l))",
        citation="welleck2019neural",
        closed_form=likelihood_weights.unlikelihood_sequence_weights,
        defaults_source="alpha: as of unlikelihood_token",
    ),
    "mate": LossInfo(
        treatment_effect.mate,
        family="likelihood",
        formula="-A_w + lam A_l",
        citation="tuan2022causaldialogue",
        closed_form=treatment_effect_weights.mate_weights,
        defaults_source="lam: released code (mate_coef); mean: choice",
        couples_batch=("reduction", "batch"),
    ),
    "exmate": LossInfo(
        treatment_effect.exmate,
        family="likelihood",
        formula="-A_w + lam exp(A_l)",
        citation="tuan2022causaldialogue",
        closed_form=treatment_effect_weights.exmate_weights,
        defaults_source="lam: released code (mate_coef); mean: choice",
        couples_batch=("reduction", "batch"),
    ),
}
