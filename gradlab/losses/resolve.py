"""From what a user writes to a loss: names, settings, sums, her own functions.

A specification is a name of `LOSSES` or `module:function`, with settings in
parentheses, and sums of such terms with number factors:

    dpo    dpop(lam=5)    ipo(reduction='mean')    dpo + 0.5*exmate(lam=0.2)
    my_pkg.my_mod:my_loss(beta=1)
"""

import ast
import difflib
import importlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from gradlab.errors import GradlabError, LossInputError
from gradlab.losses.catalogue import ALIASES, LOSSES, LossInfo
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
    def needs_reference(self) -> bool:
        """Whether the loss is known to read the reference."""
        return self.info is not None and self.info.needs_reference

    @property
    def couples_batch(self) -> bool:
        """Whether a pair's value is known to depend on the other pairs."""
        return self.info is not None and self.info.couples(self.hyper)

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
    def needs_reference(self) -> bool:
        """Whether any term is known to read the reference."""
        return any(loss.needs_reference for _, loss in self.terms)

    @property
    def couples_batch(self) -> bool:
        """Whether any term is known to couple the pairs."""
        return any(loss.couples_batch for _, loss in self.terms)

    def closed_form(self, pairs: PairLogps) -> PairWeights | None:
        """The weighted sum of the terms' closed forms, if each has one."""
        parts = [loss.closed_form(pairs) for _, loss in self.terms]
        if any(part is None for part in parts):
            return None
        factors = [factor for factor, _ in self.terms]
        return jax.tree.map(
            lambda *ws: sum(f * w for f, w in zip(factors, ws, strict=True)), *parts
        )


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
        if info.function is loss and not info.preset:
            return _bind(loss, info, hyper, name=name)
    return _bind(loss, None, hyper, name=getattr(loss, "__name__", repr(loss)))


_TERM = re.compile(
    r"\s*(?:(?P<factor>[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*\*)?"
    r"\s*(?P<name>[A-Za-z_][\w.]*(?::[\w.]+)?)\s*(?P<call>\(.*\))?\s*",
    re.DOTALL,
)


def _parse(spec: str, hyper: dict[str, Any]) -> BoundLoss:
    terms = []
    for text in split_outside(spec, "+"):
        match = _TERM.fullmatch(text)
        if match is None:
            raise LossInputError(
                f"can't read the loss {spec!r}: {text.strip()!r} is no name; expected "
                "e.g. dpo, dpop(lam=5), my_module:my_loss or dpo + 0.5*exmate"
            )
        settings = _settings(spec, match["call"]) if match["call"] else {}
        terms.append((float(match["factor"] or 1), match["name"], settings))
    if len(terms) == 1 and terms[0][0] == 1:
        _, name, settings = terms[0]
        return _named(name, settings | hyper)
    if hyper:
        raise LossInputError(f"give hyperparameters to the terms of '{spec}'")
    return weighted_sum([(f, _named(name, settings)) for f, name, settings in terms])


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a separator, but not inside parentheses, brackets or quotes.

    Example:
      >>> split_outside("dpo,ipo(tau=0.1,reduction='mean')", ",")
      ['dpo', "ipo(tau=0.1,reduction='mean')"]
    """
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == separator and depth == 0 and not _in_exponent(parts[-1], char):
            parts.append("")
            continue
        parts[-1] += char
    return parts


def _in_exponent(before: str, char: str) -> bool:
    """Whether a + belongs to a number such as 1e+3."""
    return char == "+" and re.search(r"(?<![\w.])[0-9.]+[eE]$", before) is not None


def _settings(spec: str, call: str) -> dict[str, Any]:
    """Keyword values of `(lam=5, reduction=mean)`; bare words are strings."""
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(node, ast.Call) or node.args:
            raise ValueError("expected keyword=value settings only")
        return {str(k.arg): _literal(k.value) for k in node.keywords}
    except (SyntaxError, ValueError) as error:
        raise LossInputError(
            f"can't read the settings of the loss {spec!r}: {error}; expected e.g. "
            "ipo(tau=0.1, reduction='mean')"
        ) from None


def _literal(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _named(name: str, hyper: dict[str, Any]) -> BoundLoss:
    if ":" in name:
        return _bind(_imported(name), None, hyper, name=name)
    key = ALIASES.get(name, name)
    if key not in LOSSES:
        near = difflib.get_close_matches(name, [*LOSSES, *ALIASES], n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise LossInputError(
            f"unknown loss '{name}'; {hint}Known: {', '.join(sorted(LOSSES))}; "
            "your own is module:function"
        )
    return _bind(LOSSES[key].function, LOSSES[key], hyper, name=name)


def _imported(path: str) -> LossFn:
    module_name, _, function_name = path.partition(":")
    try:
        function: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        raise LossInputError(
            f"can't import the loss '{path}': {error}; expected module:function, with "
            "the module importable from the current folder"
        ) from None
    if not callable(function):
        raise LossInputError(f"the loss '{path}' is a {type(function).__name__}")
    return function


def _bind(function, info: LossInfo | None, hyper: dict[str, Any], *, name) -> BoundLoss:
    _check_hyper(function, hyper | dict(info.preset if info else {}), name)
    settings = ", ".join(f"{k}={_short(v)}" for k, v in hyper.items())
    bare = name.partition("(")[0]
    label = f"{bare}({settings})" if settings else bare
    preset = dict(info.preset) if info else {}
    return BoundLoss(label, function, preset | hyper, info)


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
