"""The table of losses: every name that gradlab knows, and what is known of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradlab.losses import dpo as _dpo
from gradlab.losses import length_aware as _length
from gradlab.losses import likelihood as _likelihood
from gradlab.losses import preserving as _preserving
from gradlab.losses import reference_free as _free
from gradlab.losses.closed_form import dpo as _dpo_weights
from gradlab.losses.closed_form import length_aware as _length_weights
from gradlab.losses.closed_form import likelihood as _likelihood_weights
from gradlab.losses.closed_form import preserving as _preserving_weights
from gradlab.losses.closed_form import reference_free as _free_weights
from gradlab.types import LossFn, PairWeights


@dataclass(frozen=True)
class LossInfo:
    """What is known of a named loss.

    Attributes:
      function: the loss; its keyword defaults are the loss's defaults.
      family: the part of the catalogue that it belongs to.
      formula: the loss of one pair in one line.
      citation: BibTeX key of its source.
      closed_form: token weights by hand, called with every hyperparameter.
      needs_reference: whether it reads the reference log-probabilities.
      couples_batch: True if a pair's value depends on the other pairs, or the one
        (keyword, value) setting under which it does.
      values_by_rank: the returned vector is ordered by rank, not by pair.
      stops_gradient: part of the loss that depends on the policy is held constant, so
        that the weights aren't the derivative of the printed value.
      preset: keyword values that this name fixes, where it is a named setting.
    """

    function: LossFn
    family: str
    formula: str
    citation: str
    closed_form: Callable[..., PairWeights]
    needs_reference: bool = False
    couples_batch: bool | tuple[str, Any] = False
    values_by_rank: bool = False
    stops_gradient: bool = False
    preset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """Every hyperparameter and its default."""
        parameters = inspect.signature(self.function).parameters.values()
        keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        return {p.name: p.default for p in keywords} | dict(self.preset)

    def couples(self, hyper: Mapping[str, Any]) -> bool:
        """Whether pairs couple under these hyperparameters."""
        if isinstance(self.couples_batch, bool):
            return self.couples_batch
        keyword, value = self.couples_batch
        return hyper.get(keyword, self.defaults[keyword]) == value


LOSSES: dict[str, LossInfo] = {
    "mle": LossInfo(
        _likelihood.mle,
        family="likelihood",
        formula="-S_w",
        citation="bishop2006pattern",
        closed_form=_likelihood_weights.mle_weights,
        couples_batch=("reduction", "batch"),
    ),
    "unlikelihood_token": LossInfo(
        _likelihood.unlikelihood_token,
        family="likelihood",
        formula="-S_w - alpha sum_t log(1 - p_l,t)",
        citation="welleck2019neural",
        closed_form=_likelihood_weights.unlikelihood_token_weights,
    ),
    "exmate": LossInfo(
        _likelihood.exmate,
        family="likelihood",
        formula="-A_w + lam exp(A_l)",
        citation="tuan2022causaldialogue",
        closed_form=_likelihood_weights.exmate_weights,
        couples_batch=("reduction", "batch"),
    ),
    "dpo": LossInfo(
        _dpo.dpo,
        family="dpo",
        formula="-(1-eps) log s(beta h) - eps log s(-beta h)",
        citation="rafailov2023direct",
        closed_form=_dpo_weights.dpo_weights,
        needs_reference=True,
    ),
    "ipo": LossInfo(
        _dpo.ipo,
        family="dpo",
        formula="(h - 1/(2 tau))^2",
        citation="azar2023general",
        closed_form=_dpo_weights.ipo_weights,
        needs_reference=True,
    ),
    "hinge": LossInfo(
        _dpo.hinge,
        family="dpo",
        formula="max(0, 1 - beta h)",
        citation="liu2023statistical",
        closed_form=_dpo_weights.hinge_weights,
        needs_reference=True,
    ),
    "slic": LossInfo(
        _free.slic,
        family="reference_free",
        formula="max(0, delta - beta (S_w - S_l)) - lam S_w",
        citation="zhao2023slichf",
        closed_form=_free_weights.slic_weights,
    ),
    "simpo": LossInfo(
        _free.simpo,
        family="reference_free",
        formula="-log s(beta (A_w - A_l) - gamma)",
        citation="meng2024simpo",
        closed_form=_free_weights.simpo_weights,
    ),
    "orpo": LossInfo(
        _free.orpo,
        family="reference_free",
        formula="-A_w - lam log s(log odds_w - log odds_l)",
        citation="hong2024orpo",
        closed_form=_free_weights.orpo_weights,
    ),
    "averaged_dpo": LossInfo(
        _length.averaged_dpo,
        family="length_aware",
        formula="-log s(beta (a/L_w - b/L_l))",
        citation="lambert2024tulu3",
        closed_form=_length_weights.averaged_dpo_weights,
        needs_reference=True,
    ),
    "dpop": LossInfo(
        _preserving.dpop,
        family="preserving",
        formula="-log s(beta (h - lam max(0, -a)))",
        citation="pal2024smaug",
        closed_form=_preserving_weights.dpop_weights,
        needs_reference=True,
    ),
    "rpo": LossInfo(
        _preserving.rpo,
        family="preserving",
        formula="-log s(beta h) - beta eta S_w",
        citation="liu2024provably",
        closed_form=_preserving_weights.rpo_weights,
        needs_reference=True,
    ),
}

ALIASES: dict[str, str] = {"sft": "mle", "sigmoid_norm": "averaged_dpo"}
