"""One page per measure: the functions of `gradlab.gradients` and `gradlab.measures`."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_type_hints

from docs.pages.text import code, escape, prose, sections

PACKAGES = ("gradlab.gradients", "gradlab.measures")

# module -> where its quantities come from, and the results that hold them
SOURCES: dict[str, tuple[str, str]] = {
    "token": ("The chain rule.", "`weight`, `logit_grad` in tokens.parquet of compare"),
    "sides": ("The chain rule, and linearity.", "drift"),
    "drift": (
        "Taylor's formula, to first order.",
        "`predicted`, `by_chosen`, `by_rejected`, `realised` in tokens.parquet of drift",
    ),
    "step": ("Derived here: the optimiser's update, linearised.", "drift"),
    "agreement": ("Standard statistics, and the error of a power law.", "drift"),
    "example": ("The chain rule, pair by pair.", "pairs.csv of drift"),
    "gram": ("Inner products; the sketch is a random projection.", "gram.parquet"),
    "groups": ("Sums over leaves.", ""),
    "entanglement": (
        "Yuan et al., Gradient Entanglement, arXiv:2410.13828; for unequal weights by "
        "the same algebra.",
        "`case`, `both_fall` in pairs.csv and summary.csv of drift",
    ),
    "scores": ("Inner products of the gradients in arXiv:2410.13828.", "pairs.csv"),
    "ches": (
        "Razin et al., Unintentional Unalignment, arXiv:2410.08847, Definition 2.",
        "`ches`, `ln_ches` in pairs.csv of drift",
    ),
    "squeezing": (
        "Ren & Sutherland, Learning Dynamics of LLM Finetuning, arXiv:2407.10490; the "
        "closed forms are derived here.",
        "the study `drift_prediction`",
    ),
    "learning_dynamics": (
        "Ren & Sutherland, Learning Dynamics of LLM Finetuning, arXiv:2407.10490.",
        "the study `drift_prediction`",
    ),
    "field": ("The chain rule; drawn as in the papers on margin losses.", "figures"),
    "length": ("Derived here from the token weights.", "pairs.csv of length"),
    "correlations": ("Textbook statistics.", "summary.csv of length"),
    "averaging": ("Derived here; see [length](../length.md).", "`length_sensitivity`"),
    "edits": ("Levenshtein distance, by rapidfuzz.", "`edit_distance` of drift"),
    "regions": ("Defined here.", "`region` in tokens.parquet of compare"),
    "spread": ("The noise scale of McCandlish et al., arXiv:1812.06162.", ""),
    "frontier": ("Linear interpolation.", "the study `length_sensitivity`"),
}


class Measure(NamedTuple):
    """A public function and where it is defined."""

    name: str
    function: Callable[..., Any]
    package: str
    module: ModuleType

    @property
    def topic(self) -> str:
        """Last part of its module's name."""
        return self.module.__name__.rpartition(".")[2]


def measures() -> list[Measure]:
    """Every public function of both packages, by package, module and line."""
    found = []
    for package in PACKAGES:
        home = import_module(package)
        for name in vars(home):
            function = getattr(home, name)
            if not name.startswith("_") and inspect.isroutine(function):
                module = import_module(function.__module__)
                found.append(Measure(name, function, package, module))
    return found


def topics() -> dict[str, list[str]]:
    """First line of a module's docstring -> its measures, in order."""
    found: dict[str, list[str]] = {}
    for measure in measures():
        found.setdefault(title(measure.module), []).append(measure.name)
    return found


def title(module: ModuleType) -> str:
    """What a module is about: its docstring's first line without the full stop."""
    return (inspect.getdoc(module) or "").splitlines()[0].split(":")[0].rstrip(".")


def pages() -> dict[str, str]:
    """Address in the site -> text of every page on measures."""
    made = {f"measures/{m.name}.md": measure_page(m) for m in measures()}
    return {"measures/index.md": index_page(), **made}


def index_page() -> str:
    """All measures, a table per module."""
    summaries = {m.name: sections(m.function.__doc__ or "")[""] for m in measures()}
    blocks = [
        "# Measures\n\nEvery public function of `gradlab.gradients` (derivatives with "
        "respect to token log-probabilities and parameters, and what a step does) and "
        "`gradlab.measures` (what can be said of pairs, weights and gradients)."
    ]
    for heading, names in topics().items():
        lines = ["| measure | what it is |", "| --- | --- |"]
        for name in names:
            summary = escape(summaries[name].splitlines()[0], table=True)
            lines.append(f"| [`{name}`]({name}.md) | {summary} |")
        blocks += [f"## {escape(heading)}", "\n".join(lines)]
    return "\n\n".join(blocks)


def measure_page(measure: Measure) -> str:
    """Formula, arguments with shapes and units, result with sign, source."""
    parts = sections(measure.function.__doc__ or "")
    source, found_in = SOURCES[measure.topic]
    written = [f"## {h}\n\n{prose(t)}" for h, t in parts.items() if h in _PROSE]
    blocks = [
        f"# {measure.name}",
        prose(parts[""]),
        f"```python\nfrom {measure.package} import {measure.name}\n```",
        f"```text\n{signature(measure)}\n```",
        _fenced("Formula", parts.get("Formula", ""), "text"),
        _listed("Arguments", parts.get("Args", "")),
        _result(measure, parts.get("Returns", "")),
        *written,
        _listed("Errors", parts.get("Raises", "")),
        _fenced("Example", parts.get("Example", ""), "pycon"),
        f"## Background\n\n{prose(inspect.getdoc(measure.module) or '')}",
        f"## Source\n\n{prose(parts.get('References', source))}",
        f"Found in: {found_in}." if found_in else "",
    ]
    return "\n\n".join(block for block in blocks if block)


_PROSE = ("Guarantees",)


def signature(measure: Measure) -> str:
    """Name and parameters, without types: the docstring states shapes.

    The signature's own text would spell out jax's internal types.
    """
    parameters = []
    for parameter in inspect.signature(measure.function).parameters.values():
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty))
    return measure.name + str(inspect.Signature(parameters))


def _result(measure: Measure, text: str) -> str:
    """What comes back; the attributes of a result that is a record."""
    blocks = [prose(text)] if text else []
    for kind in _records(measure):
        attributes = sections(kind.__doc__ or "").get("Attributes", "")
        blocks.append(_listed("", attributes))
    body = "\n\n".join(block for block in blocks if block)
    return f"## Result\n\n{body}" if body else ""


def _records(measure: Measure) -> list[type]:
    """The dataclasses of gradlab among the types that a function returns."""
    hint = get_type_hints(measure.function).get("return")
    kinds = [hint, *get_args(hint)]
    return [k for k in kinds if isinstance(k, type) and is_dataclass(k)]


def _fenced(heading: str, text: str, language: str) -> str:
    return f"## {heading}\n\n```{language}\n{text}\n```" if text else ""


def _listed(heading: str, text: str) -> str:
    """`name: meaning` lines as a list; what goes on is indented there."""
    items: list[str] = []
    for line in text.splitlines():
        name, colon, meaning = line.partition(":")
        if colon and not line.startswith(" ") and " " not in name.rstrip(","):
            items.append(f"* {code(name)}: {escape(meaning.strip())}")
        elif items:
            items[-1] += f"\n  {escape(line.strip())}"
        elif line:
            items.append(f"* {escape(line)}")
    head = [f"## {heading}"] if heading and items else []
    return "\n\n".join([*head, "\n".join(items)])
