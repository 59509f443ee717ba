"""From what a user writes to a loss: names, settings, sums, her own functions.

A specification is a name of `LOSSES` or `module:function`, with settings in
parentheses, and sums of such terms with number factors; examples stand in
`gradlab.losses.specification`.
"""

import difflib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from gradlab.errors import GradlabError, LossInputError
from gradlab.losses.catalogue import ALIASES, LOSSES
from gradlab.losses.info import LossInfo
from gradlab.losses.specification import read_terms
from gradlab.losses.specification import split_outside as split_outside
from gradlab.losses.user import imported, try_out
from gradlab.types import Array, LossFn, PairLogps, PairWeights


@dataclass(frozen=True)
class BoundLoss:
    """A loss with its hyperparameters fixed; call it on pairs.

    Attributes:
      label: how tables and figures name it.
      function: (pairs, **hyper) -> [B].
      hyper: the hyperparameters that were given.
      info: its row of `LOSSES`; None for a user's own function.
    """

    label: str
    function: LossFn
    hyper: dict[str, Any] = field(default_factory=dict)
    info: LossInfo | None = None

    def __call__(self, pairs: PairLogps) -> Array:
        """The loss of each pair, [B]."""
        return self.function(pairs, **self.hyper)

    @property
    def needs_fields(self) -> tuple[str, ...]:
        """Optional fields of `PairLogps` that the loss is known to read."""
        own = self.info.fields(self.hyper) if self.info else ()
        return _united([own, *(base.needs_fields for base in self._bases())])

    @property
    def needs_reference(self) -> bool:
        """Whether the loss is known to read the reference."""
        return "ref_chosen" in self.needs_fields

    @property
    def couples_batch(self) -> bool:
        """Whether a pair's value is known to depend on the other pairs."""
        own = self.info is not None and self.info.couples(self.hyper)
        return own or any(base.couples_batch for base in self._bases())

    @property
    def stops_gradient(self) -> bool:
        """Whether a part that depends on the policy is known to be held constant."""
        own = self.info is not None and self.info.stops(self.hyper)
        return own or any(base.stops_gradient for base in self._bases())

    def _bases(self) -> list["BoundLoss"]:
        """The loss inside this one, where it takes one as `base`."""
        base = self.hyper.get("base") if self.info else None
        return [] if base is None else [resolve(base)]

    def closed_form(self, pairs: PairLogps) -> PairWeights | None:
        """Token weights by the published formula, or None where none is known."""
        if self.info is None:
            return None
        return self.info.closed_form(pairs, **(self.info.defaults | self.hyper))


@dataclass(frozen=True)
class WeightedSum(BoundLoss):
    """A sum of losses with factors; made by `weighted_sum`."""

    terms: tuple[tuple[float, BoundLoss], ...] = ()

    @property
    def needs_fields(self) -> tuple[str, ...]:
        """Optional fields of `PairLogps` that some term is known to read."""
        return _united(loss.needs_fields for _, loss in self.terms)

    @property
    def couples_batch(self) -> bool:
        """Whether any term is known to couple the pairs."""
        return any(loss.couples_batch for _, loss in self.terms)

    @property
    def stops_gradient(self) -> bool:
        """Whether any term is known to hold a part constant."""
        return any(loss.stops_gradient for _, loss in self.terms)

    def closed_form(self, pairs: PairLogps) -> PairWeights | None:
        """The weighted sum of the terms' closed forms, if each has one."""
        parts = [loss.closed_form(pairs) for _, loss in self.terms]
        if any(part is None for part in parts):
            return None
        factors = [factor for factor, _ in self.terms]
        return jax.tree.map(
            lambda *ws: sum(f * w for f, w in zip(factors, ws, strict=True)), *parts
        )


def _united(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Every field once, in order."""
    return tuple(dict.fromkeys(field for group in groups for field in group))


def weighted_sum(terms: Sequence[tuple], *, label: str | None = None) -> WeightedSum:
    """The sum of several losses: DPO + ExMATE, DPO + MLE and the like.

    Args:
      terms: (weight, loss) or (weight, loss, hyperparameters) tuples; a loss is
        anything that `resolve` takes.
      label: name in tables; by default the terms written out.

    Returns:
      A loss: pairs -> [B], the weighted sum of the terms.

    Raises:
      LossInputError: no terms, or a term that `resolve` refuses.

    Example:
      >>> loss = weighted_sum([(1.0, "dpo", {"beta": 0.1}), (0.5, "exmate")])
      >>> loss.label, loss(example_pair()).round(4)
      ('dpo(beta=0.1) + 0.5*exmate', Array([1.4], dtype=float32))
    """
    if not terms:
        raise LossInputError("weighted_sum needs at least one (weight, loss) term")
    bound = tuple((t[0], resolve(t[1], **(t[2] if len(t) > 2 else {}))) for t in terms)

    def total(pairs: PairLogps) -> Array:
        first, *rest = [factor * loss(pairs) for factor, loss in bound]
        return sum(rest, first)

    written = " + ".join(x.label if f == 1 else f"{f:g}*{x.label}" for f, x in bound)
    return WeightedSum(label or written, total, terms=bound)


def resolve(loss: str | LossFn, **hyper: Any) -> BoundLoss:
    """The loss that a specification, a function or a name means.

    Args:
      loss: a specification as in the module's head, a loss function, or the result of
        an earlier call.
      **hyper: hyperparameters; they override those in the specification.

    Returns:
      A `BoundLoss`: callable on `PairLogps`, with what `LOSSES` knows of it.

    Raises:
      LossInputError: unknown name (near misses are listed), unknown hyperparameter,
        missing required one, a function that can't be imported, or bad syntax.

    Example:
      >>> resolve("dpop(lam=5)").hyper
      {'lam': 5}
    """
    if isinstance(loss, WeightedSum) and not hyper:
        return loss
    if isinstance(loss, WeightedSum):
        raise LossInputError(f"give hyperparameters to the terms of '{loss.label}'")
    if isinstance(loss, BoundLoss):
        return _bind(loss.function, loss.info, loss.hyper | hyper, name=loss.label)
    if isinstance(loss, str):
        return _parse(loss, hyper)
    if not callable(loss):
        raise LossInputError(f"a loss is a name or a function; got {loss!r}")
    for name, info in LOSSES.items():
        if info.function is loss:
            return _bind(loss, info, hyper, name=name)
    return _bind(loss, None, hyper, name=getattr(loss, "__name__", repr(loss)))


def _parse(spec: str, hyper: dict[str, Any]) -> BoundLoss:
    terms = read_terms(spec)
    if len(terms) == 1 and terms[0].factor == 1:
        return _named(terms[0].name, terms[0].settings | hyper)
    if hyper:
        raise LossInputError(f"give hyperparameters to the terms of '{spec}'")
    return weighted_sum([(t.factor, _named(t.name, t.settings)) for t in terms])


def _named(name: str, hyper: dict[str, Any]) -> BoundLoss:
    if ":" in name:
        function = imported(name)
        _check_hyper(function, hyper, name)
        try_out(function, hyper, name=name)
        return _bind(function, None, hyper, name=name)
    info = info_of(name)
    return _bind(info.function, info, hyper, name=name)


def info_of(name: str) -> LossInfo:
    """The row of `LOSSES` for a name or an alias.

    Raises:
      LossInputError: unknown name; near misses are listed.
    """
    key = ALIASES.get(name, name)
    if key in LOSSES:
        return LOSSES[key]
    near = difflib.get_close_matches(name, [*LOSSES, *ALIASES], n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise LossInputError(
        f"unknown loss '{name}'; {hint}Known: {', '.join(sorted(LOSSES))}; "
        "your own is module:function"
    )


def _bind(function, info: LossInfo | None, hyper: dict[str, Any], *, name) -> BoundLoss:
    _check_hyper(function, hyper, name)
    settings = ", ".join(f"{k}={_short(v)}" for k, v in hyper.items())
    bare = name.partition("(")[0]
    label = f"{bare}({settings})" if settings else bare
    return BoundLoss(label, function, hyper, info)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _check_hyper(function: LossFn, hyper: dict[str, Any], name: str) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise GradlabError(f"can't read the signature of '{name}': {error}") from None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in list(parameters)[1:]]
    for key in hyper:
        if key not in known:
            raise LossInputError(
                f"loss '{name}' has no hyperparameter '{key}'; expected "
                + (", ".join(known) or "none")
            )
    required = [p.name for p in list(parameters)[1:] if p.default is p.empty]
    missing = [r for r in required if r not in hyper]
    if missing:
        raise LossInputError(f"loss '{name}' needs a value for {', '.join(missing)}")
