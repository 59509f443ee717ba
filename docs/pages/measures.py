"""One page per measure: the functions of `gradlab.gradients` and `gradlab.measures`."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_type_hints

from docs.pages.text import code, escape, prose, sections

PACKAGES = ("gradlab.gradients", "gradlab.measures")


class Topic(NamedTuple):
    """What one module measures.

    Attributes:
      title: a few words.
      source: where the quantities come from.
      found_in: the results that hold them, or "".
    """

    title: str
    source: str
    found_in: str = ""


# module -> its topic
TOPICS: dict[str, Topic] = {
    "token": Topic(
        "Token weights",
        "The chain rule.",
        "`weight` and `logit_grad_norm` in tokens.parquet of `gradlab compare`",
    ),
    "sides": Topic("Chosen and rejected parts", "The chain rule, and linearity."),
    "drift": Topic(
        "Drift",
        "Taylor's formula, to first order.",
        "`predicted`, `by_chosen`, `by_rejected`, `realised` in tokens.parquet of "
        "`gradlab drift`",
    ),
    "step": Topic("Optimiser steps", "Derived here: the optimiser's update, split."),
    "agreement": Topic(
        "Prediction against outcome",
        "Standard statistics; the order of Taylor's remainder.",
        "summary.csv of `gradlab drift`",
    ),
    "example": Topic("Gradients of single pairs", "The chain rule, pair by pair."),
    "gram": Topic(
        "Inner products over pairs and tokens",
        "Definitions above; the sketch is a random projection.",
        "gram.parquet of `gradlab drift`",
    ),
    "groups": Topic("Groups of parameters", "Sums over leaves."),
    "entanglement": Topic(
        "Entanglement",
        "Yuan et al., A Common Pitfall of Margin-based Language Model Alignment: "
        "Gradient Entanglement, arXiv:2410.13828; for unequal weights by the same "
        "algebra.",
        "`case` in pairs.csv and `both_fall` in summary.csv of `gradlab drift`",
    ),
    "scores": Topic(
        "Products of score gradients",
        "The products behind arXiv:2410.13828, for token-varying weights by the same "
        "algebra.",
        "`score_chosen`, `score_rejected`, `score_cosine` in pairs.csv of "
        "`gradlab drift`",
    ),
    "ches": Topic(
        "CHES",
        "Razin et al., Unintentional Unalignment: Likelihood Displacement in Direct "
        "Preference Optimization, arXiv:2410.08847, Definition 2.",
        "`ches` and `ln_ches` in pairs.csv of `gradlab drift`",
    ),
    "squeezing": Topic(
        "Squeezing",
        "The effect: Ren & Sutherland, Learning Dynamics of LLM Finetuning, "
        "arXiv:2407.10490; the closed forms are derived here.",
        "the study `drift_prediction`",
    ),
    "learning_dynamics": Topic(
        "Learning dynamics",
        "Ren & Sutherland, Learning Dynamics of LLM Finetuning, arXiv:2407.10490.",
        "the study `drift_prediction`",
    ),
    "field": Topic("Gradient fields", "The chain rule."),
    "length": Topic(
        "Length", "Derived here from the token weights.", "`gradlab length`"
    ),
    "correlations": Topic(
        "Correlations", "Textbook statistics.", "summary.csv of `gradlab length`"
    ),
    "averaging": Topic(
        "Optima of summed and averaged losses",
        "Derived here: see [length](../length.md).",
        "the study `length_sensitivity`",
    ),
    "edits": Topic(
        "Edit distance",
        "Levenshtein distance, by rapidfuzz.",
        "`edit_token`, `edit_character`, `edit_word` in pairs.csv of `gradlab drift`",
    ),
    "regions": Topic(
        "Regions of a pair",
        "Defined here.",
        "`region` in tokens.parquet of `gradlab compare`",
    ),
    "spread": Topic("Spread over pairs", "See the definition above."),
    "frontier": Topic(
        "Frontiers", "Linear interpolation.", "the study `length_sensitivity`"
    ),
}


class Measure(NamedTuple):
    """A public function and where it is defined."""

    name: str
    function: Callable[..., Any]
    package: str
    module: ModuleType

    @property
    def topic(self) -> Topic:
        """What its module measures."""
        return TOPICS[self.module.__name__.rpartition(".")[2]]


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
    """Title of a topic -> its measures; token weights first."""
    found: dict[str, list[str]] = {topic.title: [] for topic in TOPICS.values()}
    for measure in measures():
        found[measure.topic.title].append(measure.name)
    return found


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
    topic = measure.topic
    background = prose(inspect.getdoc(measure.module) or "")
    imported = f"from {measure.package} import {measure.name}"
    blocks = [
        f"# {measure.name}",
        prose(parts[""]),
        f"```python\n{imported}\n\n{signature(measure)}\n```",
        _fenced("Formula", parts.get("Formula", ""), "text"),
        "" if "Formula" in parts else f"## Definitions\n\n{background}",
        _listed("Arguments", parts.get("Args", "")),
        _result(measure, parts.get("Returns", "")),
        _listed("Errors", parts.get("Raises", "")),
        _headed("Guarantees", prose(parts.get("Guarantees", ""))),
        _fenced("Example", parts.get("Example", ""), "pycon"),
        f"## Background\n\n{background}" if "Formula" in parts else "",
        f"## Source\n\n{prose(parts.get('References', topic.source))}",
        f"Found in {topic.found_in}." if topic.found_in else "",
    ]
    return "\n\n".join(block for block in blocks if block)


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
    return _headed("Result", body)


def _records(measure: Measure) -> list[type]:
    """The dataclasses of gradlab among the types that a function returns."""
    hint = get_type_hints(measure.function).get("return")
    kinds = [hint, *get_args(hint)]
    return [k for k in kinds if isinstance(k, type) and is_dataclass(k)]


def _fenced(heading: str, text: str, language: str) -> str:
    return _headed(heading, f"```{language}\n{text}\n```" if text else "")


def _headed(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}" if text else ""


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
