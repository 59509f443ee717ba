"""What is known of a named loss."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradlab.types import LossFn, PairWeights

REFERENCE = ("ref_chosen", "ref_rejected")

# False, True, or the one (keyword, value) setting under which something holds.
Condition = bool | tuple[str, Any]


@dataclass(frozen=True)
class LossInfo:
    """What is known of a named loss.

    Attributes:
      function: the loss; its keyword defaults are the loss's defaults.
      family: the part of the catalogue that it belongs to.
      formula: the loss of one pair in one line.
      citation: BibTeX key of its source.
      closed_form: token weights by hand, called with every hyperparameter; None where
        a loss given to it (`base`) has none.
      defaults_source: where the default hyperparameters come from, in one line.
      needs_fields: optional fields of `PairLogps` that it reads.
      draws_fields: (keyword, fields): those of them that it does without once the
        keyword is given.
      couples_batch: whether a pair's value depends on the other pairs.
      stops_gradient: whether a part that depends on the policy is held constant, so
        that the weights aren't the derivative of the printed value.
      values_by_rank: the returned vector is ordered by rank, not by pair.
    """

    function: LossFn
    family: str
    formula: str
    citation: str
    closed_form: Callable[..., PairWeights | None]
    defaults_source: str
    needs_fields: tuple[str, ...] = ()
    draws_fields: tuple[str, tuple[str, ...]] | None = None
    couples_batch: Condition = False
    stops_gradient: Condition = False
    values_by_rank: bool = False

    @property
    def needs_reference(self) -> bool:
        """Whether it reads the reference log-probabilities."""
        return "ref_chosen" in self.needs_fields

    @property
    def defaults(self) -> dict[str, Any]:
        """Every hyperparameter and its default (`inspect.Parameter.empty`: none)."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def required(self) -> tuple[str, ...]:
        """Hyperparameters without a default."""
        empty = inspect.Parameter.empty
        return tuple(k for k, value in self.defaults.items() if value is empty)

    def fields(self, hyper: Mapping[str, Any]) -> tuple[str, ...]:
        """The optional fields of `PairLogps` that it reads under these settings."""
        keyword, spared = self.draws_fields or ("", ())
        given = hyper.get(keyword) is not None
        return tuple(f for f in self.needs_fields if not (given and f in spared))

    def couples(self, hyper: Mapping[str, Any]) -> bool:
        """Whether pairs couple under these settings."""
        return self._holds(self.couples_batch, hyper)

    def stops(self, hyper: Mapping[str, Any]) -> bool:
        """Whether part of the gradient is stopped under these settings."""
        return self._holds(self.stops_gradient, hyper)

    def _holds(self, condition: Condition, hyper: Mapping[str, Any]) -> bool:
        if isinstance(condition, bool):
            return condition
        keyword, value = condition
        return hyper.get(keyword, self.defaults[keyword]) == value
