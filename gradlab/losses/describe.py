"""What is known of a loss, as data: for the command line and the documentation."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradlab.losses.catalogue import ALIASES, LOSSES
from gradlab.losses.citations import bibtex
from gradlab.losses.resolve import info_of

_HEADING = re.compile(r"([A-Z][a-z]+):")


@dataclass(frozen=True)
class LossDescription:
    """Everything that is written down about one loss.

    Attributes:
      name: its name in `LOSSES`.
      aliases: other names that mean it.
      family: the part of the catalogue.
      summary: one line.
      formula: the loss of one pair, several lines.
      gradient: dL/dlogp.
      arguments: keyword -> what it means.
      defaults: keyword -> default; required keywords are missing.
      required: keywords without a default.
      defaults_source: where the defaults come from.
      returns: what comes back, with its unit.
      conventions: variants, pitfalls, how public software differs.
      references: papers, and what is inferred.
      needs_fields: optional fields of `PairLogps` that it reads.
      coupling: how pairs couple through the batch, or "".
      bibtex: entry of its source.
    """

    name: str
    aliases: tuple[str, ...]
    family: str
    summary: str
    formula: str
    gradient: str
    arguments: dict[str, str]
    defaults: dict[str, Any]
    required: tuple[str, ...]
    defaults_source: str
    returns: str
    conventions: str
    references: str
    needs_fields: tuple[str, ...]
    coupling: str
    bibtex: str

    def text(self) -> str:
        """All of it as plain text."""
        settings = [*(f"{k}={v!r}" for k, v in self.defaults.items())]
        settings += [f"{k} (required)" for k in self.required]
        alias = f" (also {', '.join(self.aliases)})" if self.aliases else ""
        parts = {
            "Formula": self.formula,
            "Gradient": self.gradient,
            "Settings": f"{', '.join(settings)}\n{self.defaults_source}",
            "Needs": ", ".join(self.needs_fields) or "no reference",
            "Coupling": self.coupling,
            "Conventions": self.conventions,
            "References": self.references,
            "BibTeX": self.bibtex,
        }
        head = f"{self.name}{alias} · {self.family}\n{self.summary}"
        blocks = [f"{k}:\n{_indented(v)}" for k, v in parts.items() if v]
        return "\n\n".join([head, *blocks])


def list_losses() -> list[dict[str, Any]]:
    """One row per loss of the table, in its order.

    Returns:
      Dicts with name, family, formula (one line), needs_reference, citation (BibTeX
      key).

    Example:
      >>> list_losses()[0]["formula"]
      '-S_w'
    """
    return [
        {
            "name": name,
            "family": info.family,
            "formula": info.formula,
            "needs_reference": info.needs_reference,
            "citation": info.citation,
        }
        for name, info in LOSSES.items()
    ]


def describe_loss(name: str) -> LossDescription:
    """What is known of one loss.

    Args:
      name: a name of `LOSSES` or an alias.

    Returns:
      A `LossDescription`.

    Raises:
      LossInputError: unknown name; near misses are listed.

    Example:
      >>> describe_loss("dpop").formula
      'm = beta (h - lam max(0, -a));  L = -log s(m)'
    """
    info, name = info_of(name), ALIASES.get(name, name)
    parts = sections(info.function)
    return LossDescription(
        name=name,
        aliases=tuple(alias for alias, of in ALIASES.items() if of == name),
        family=info.family,
        summary=parts["Summary"],
        formula=parts["Formula"],
        gradient=parts["Gradient"],
        arguments=_arguments(parts["Args"]),
        defaults={k: v for k, v in info.defaults.items() if k not in info.required},
        required=info.required,
        defaults_source=info.defaults_source,
        returns=parts["Returns"],
        conventions=parts["Conventions"],
        references=parts["References"],
        needs_fields=info.needs_fields,
        coupling=_coupling(name),
        bibtex=bibtex([name]),
    )


def sections(function: Callable[..., Any]) -> dict[str, str]:
    """The parts of a docstring by heading; its first line is "Summary"."""
    lines = (inspect.getdoc(function) or "").splitlines()
    found: dict[str, list[str]] = {"Summary": []}
    heading = "Summary"
    for line in lines:
        match = _HEADING.fullmatch(line)
        if match:
            heading = match[1]
            found[heading] = []
        else:
            found[heading].append(line)
    return {k: inspect.cleandoc("\n".join(["", *v])) for k, v in found.items()}


def _arguments(text: str) -> dict[str, str]:
    """Argument -> meaning, without `pairs`, which every loss takes."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+): (.*)", line)
        if match:
            last, found[match[1]] = match[1], match[2]
        elif found:
            found[last] += " " + line.strip()
    return {k: v for k, v in found.items() if k != "pairs"}


def _coupling(name: str) -> str:
    info = LOSSES[name]
    if not info.couples_batch:
        return ""
    when = ""
    if not isinstance(info.couples_batch, bool):
        keyword, value = info.couples_batch
        when = f" with {keyword}={value!r}"
    rank = "; values are ordered by rank, not by pair" if info.values_by_rank else ""
    return f"pairs couple through the batch{when}{rank}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
