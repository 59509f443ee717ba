"""The verdicts on claims that rank runs by utility, each under three matching rules."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from analyses.common.reading import Reader
from analyses.preference_pipeline.cells import FORMS, FREE, form_on
from analyses.preference_pipeline.equal_kl import lead, make_path
from analyses.preference_pipeline.ledger_of_claims import STEPS

Rows = Iterator[dict[str, Any]]
Keys = Mapping[str, Any]  # that select the rows of a run, of every seed
LABELS = tuple(FORMS.values())
# A ranking may turn with the distance, so it is judged at a low one, where the first of
# all runs of the sweep ends, and as far as the two runs compared both go.
LOW = "equal sequence KL, where the first of all ends"
PAIR = "equal sequence KL, where the nearer of two ends"
RULES = (STEPS, LOW, PAIR)


def at_end(reader: Reader, metric: str, **keys: Any) -> list[float]:
    """By seed, at the end of the run."""
    found = reader.by_seed(metric, step=reader.config.runs.steps, **keys)
    return [float(values[0]) for values in found]


def _leads(reader: Reader, rule: str, one: Keys, other: Keys) -> list[float]:
    """By seed: utility of a run over that of another under a matching rule."""
    if rule == PAIR:
        paths = [_paths(reader, keys) for keys in (one, other)]
        return [lead(a, b) for a, b in zip(*paths, strict=True)] if all(paths) else []
    metric = "utility" if rule == STEPS else "utility_equal_kl"
    ends = [at_end(reader, metric, **keys) for keys in (one, other)]
    return [a - b for a, b in zip(*ends, strict=True)] if all(ends) else []


def _paths(reader: Reader, keys: Keys) -> list[np.ndarray]:
    """By seed: the run's path, from the reference."""
    kl = reader.by_seed("kl", **keys)
    if not kl:
        return []
    start = "tuning reference" if keys["part"] == "tuning" else "reference"
    starts = reader.by_seed("utility", part=start)
    worth = reader.by_seed("utility", **keys)
    return [
        make_path(float(first[0]), own, values)
        for first, own, values in zip(starts, kl, worth, strict=True)
    ]


def _over_both(
    reader: Reader, rule: str, cells: Mapping[float, Keys], delta: float
) -> dict[str, list[float]]:
    """What a budget has over none at all for the chosen side, and over no limit."""
    return {
        name: _leads(reader, rule, cells[delta], cells[other])
        for name, other in (("over 0", 0.0), ("over no budget", FREE))
    }


def sweep(reader: Reader, form: str, part: str = "delta") -> dict[float, Keys]:
    """Budget -> what selects its rows: no budget, which is DPO, comes last."""
    keys = {"part": part}
    found: dict[float, Keys] = {
        delta: {**keys, "loss": form, "delta": delta}
        for delta in reader.config.runs.deltas
    }
    return found | {FREE: {**keys, "loss": "dpo"}}


def _interior_optimum(reader: Reader) -> Rows:
    for form, rule in itertools.product(LABELS, RULES):
        best, note = _best(reader, form, rule)
        leads = _over_both(reader, rule, sweep(reader, form), best)
        row = reader.judge("S3.3", f"{form}, {rule}", leads, note=note)
        yield {**row, "matching_rule": rule}


def _best(reader: Reader, form: str, rule: str) -> tuple[float, str]:
    """The budget above 0 whose weaker lead is largest on the tuning seeds."""
    cells, weaker = sweep(reader, form, "tuning"), {}
    for delta in cells:
        if 0 < delta < FREE:
            leads = _over_both(reader, rule, cells, delta)
            if all(leads.values()):
                weaker[delta] = min(map(np.mean, leads.values()))
    if not weaker:
        return reader.config.runs.delta, "no tuning seeds"
    best = max(weaker, key=weaker.__getitem__)
    return best, f"delta* = {best:g} nats; its weaker lead there {weaker[best]:+.3f}"


def _other_bases(reader: Reader) -> Rows:
    """Budgets that no seed chose, on the bases besides DPO."""
    runs = reader.config.runs
    for base, form in itertools.product(runs.other_bases, FORMS):
        label, part = form_on(form, base), {"part": "plane"}
        cells: dict[float, Keys] = {
            delta: {**part, "loss": label, "delta": delta, "strength": runs.strength}
            for delta in (0.0, *runs.plane_deltas)
        }
        cells[FREE] = {**part, "loss": base.spec}
        for delta, rule in itertools.product(runs.plane_deltas, RULES):
            leads = _over_both(reader, rule, cells, delta)
            row = reader.judge("S3.3a", f"{label}, delta {delta:g}, {rule}", leads)
            yield {**row, "matching_rule": rule}


def _factorial(reader: Reader) -> Rows:
    reason = "needs the benchmarks' judges and models of their size"
    yield reader.undecided("S3.6", "two benchmarks", "not testable", reason)
    for rival, form, rule in itertools.product(("scores", "scores_ood"), LABELS, RULES):
        both, ranked = _selected("extremes", form), _selected("extremes", "dpo")
        budget, neither = _selected(rival, form), _selected(rival, "dpo")
        contrasts = {
            "over comparisons alone": _leads(reader, rule, both, ranked),
            "over the budget alone": _leads(reader, rule, both, budget),
            "over neither": _leads(reader, rule, both, neither),
        }
        note = ""
        if all(contrasts.values()):
            gain = np.mean(contrasts["over comparisons alone"])
            gain -= np.mean(_leads(reader, rule, budget, neither))
            note = f"interaction {gain:+.3g}"
        row = reader.judge("S3.6a", f"{form}, {rival}, {rule}", contrasts, note=note)
        yield {**row, "matching_rule": rule}


def _selected(scheme: str, loss: str) -> Keys:
    return {"part": "grid", "scheme": scheme, "loss": loss}


UTILITY_PARTS: tuple[Callable[[Reader], Rows], ...] = (
    _interior_optimum, _other_bases, _factorial,
)  # fmt: skip
