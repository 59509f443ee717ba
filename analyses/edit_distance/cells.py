"""What is run: one loss on pairs of one edit, at one rate, from one start."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from analyses.common.markov import OPERATIONS
from analyses.edit_distance.config import FOUR, TWO, Config, Runs
from gradlab.data.corruptions import Corruption

KINDS = ("text", "arithmetic")
# A wrong result, later text kept or recalculated.
NATURAL: tuple[Corruption, ...] = ("one", "follow")


@dataclass(frozen=True)
class Edit:
    """How rejected responses come from chosen ones.

    Attributes:
      tokens: edited neighbouring tokens; 0 is the whole response.
      operation: of `analyses.common.markov.OPERATIONS`, or one of `NATURAL`.
      place: of the edit, as a share of the response, 0 the first and 1 the last token;
        not read for `NATURAL`, where the problem decides.
    """

    tokens: int
    operation: str = "substitute"
    place: float = 0.0


WRONG_RESULT = Edit(1, "one")
RECALCULATED = Edit(1, "follow")


@dataclass(frozen=True)
class Cell:
    """One training run, but for the seed.

    Attributes:
      kind: "text" or "arithmetic".
      loss: as `gradlab.losses.resolve` reads it.
      edit: of the pairs.
      rate: learning rate.
      fit: quality of the reference, "well" or "under".
      detailed: its path over the steps and its profile over positions are kept.
    """

    kind: str
    loss: str
    edit: Edit
    rate: float
    fit: str = "well"
    detailed: bool = False


def runs_of(config: Config, kind: str) -> Runs:
    """Settings of the runs on a kind."""
    return config.text_runs if kind == "text" else config.word_runs


def first_edit(config: Config, kind: str) -> Edit:
    """The smallest edit of a kind: one letter, or one wrong result."""
    return Edit(1, place=config.place) if kind == "text" else WRONG_RESULT


def edits_of(config: Config, kind: str) -> list[Edit]:
    """The edits of a kind, from the smallest to the whole response."""
    sizes = sorted(runs_of(config, kind).edits, key=lambda size: size or math.inf)
    # The whole response can only be edited from its first token on.
    found = [Edit(size, place=config.place if size else 0.0) for size in sizes]
    return list(dict.fromkeys((first_edit(config, kind), *found)))


def cells_of(config: Config, kind: str) -> dict[str, list[Cell]]:
    """Part -> its cells, the main grid first; no cell occurs twice."""
    runs, first = runs_of(config, kind), first_edit(config, kind)
    if not runs.stages:
        return {}
    parts = {
        "main": _main(config, kind, runs, first),
        "ablation": _ablation(config, kind, runs, first),
        "sweep": _sweep(config, kind, runs, first),
    }
    seen: set[Cell] = set()
    for name, cells in parts.items():
        fresh = []
        for cell in cells:
            key = replace(cell, detailed=False)
            if key not in seen:
                seen.add(key)
                fresh.append(cell)
        parts[name] = fresh
    return parts


def losses_of(config: Config) -> tuple[str, ...]:
    """Every loss of the study, each once: the branches of one compiled run."""
    parts = (part for kind in KINDS for part in cells_of(config, kind).values())
    return tuple(dict.fromkeys(cell.loss for part in parts for cell in part))


def _main(config: Config, kind: str, runs: Runs, first: Edit) -> list[Cell]:
    every = (*config.losses, *config.extra_losses, config.control)
    some = [loss for loss in FOUR if loss in config.losses]
    found = [Cell(kind, loss, first, runs.rate, detailed=True) for loss in every]
    for edit in edits_of(config, kind):
        losses = every if kind == "text" else (*some, *config.extra_losses)
        found += [
            Cell(kind, loss, edit, runs.rate, detailed=edit == first) for loss in losses
        ]
    return found


def _ablation(config: Config, kind: str, runs: Runs, first: Edit) -> list[Cell]:
    """Strengths of DPO and of DPO-Positive's penalty; its other placements."""
    losses = [dpo_of(beta) for beta in config.betas]
    betas = (0.3,) if kind == "text" else config.betas
    losses += [dpop_of(beta, lam) for beta in betas for lam in config.lams]
    losses += config.placed if kind == "text" else config.placed_words
    return [Cell(kind, loss, first, runs.rate) for loss in losses]


def dpo_of(beta: float) -> str:
    """DPO at that strength, by its shortest name."""
    return "dpo" if beta == 0.1 else f"dpo(beta={beta:g})"


def dpop_of(beta: float, lam: float) -> str:
    """DPO-Positive at these strengths, by its shortest name."""
    given = {"beta": beta} if beta != 0.3 else {}
    given |= {"lam": lam} if lam != 50 else {}
    settings = ", ".join(f"{key}={value:g}" for key, value in given.items())
    return f"dpop({settings})" if settings else "dpop"


def _sweep(config: Config, kind: str, runs: Runs, first: Edit) -> list[Cell]:
    """Learning rates; operations and places; another start or another suffix."""
    two, four = ([x for x in some if x in config.losses] for some in (TWO, FOUR))
    swept = four if kind == "text" else two
    found = [
        Cell(kind, loss, first, rate) for rate in runs.other_rates for loss in swept
    ]
    found += [
        Cell(kind, "dpo", edit, runs.gentle_rate) for edit in edits_of(config, kind)
    ]
    if kind == "text":
        found += [Cell(kind, loss, first, runs.rate, "under") for loss in two]
        places, operations = config.places, OPERATIONS
    else:
        found += [Cell(kind, loss, RECALCULATED, runs.rate) for loss in two]
        places, operations = (config.place,), OPERATIONS[1:]
    for place in places:
        for operation in operations:
            edit = Edit(config.moved_tokens, operation, place)
            found.append(Cell(kind, "dpo", edit, runs.rate))
    return found


def parts_in_order(config: Config) -> Iterator[tuple[str, str, Sequence[Cell]]]:
    """(kind, part, cells): both kinds' main grids first, the sweeps last."""
    by_kind = {kind: cells_of(config, kind) for kind in KINDS}
    for part in ("main", "ablation", "sweep"):
        for kind, parts in by_kind.items():
            if parts.get(part):
                yield kind, part, parts[part]
