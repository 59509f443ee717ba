"""Which losses are trained: the family of budgets, and what it is compared with.

Every cell is one of two functions of the library with numbers that compile once:
`bcr_added` (with a likelihood term beside it) or `bcr_inside`, on a base. Without a
budget both are their base; on DPO with a budget of 0 the second is `dpop`.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from analyses.preference_pipeline.config import Base, Runs
from gradlab.losses import bcr_added, bcr_inside, mle
from gradlab.types import Array, PairLogps

FREE = np.inf  # no budget: whatever the fall, no penalty
FORMS = {"outside": "bcr_added", "inside": "bcr_inside"}


class Amounts(NamedTuple):
    """Numbers of a cell that may change without compiling anew."""

    lam: Array
    delta: Array
    gamma: Array


class Program(NamedTuple):
    """What of a cell is compiled; see there."""

    form: str
    base: str
    drop: str
    shape: str


@dataclass(frozen=True)
class Cell:
    """One loss on one selection.

    Attributes:
      part: which question it answers: "delta", "lambda", "control", "plane", "penalty"
        or "grid".
      loss: its label.
      form: "outside" or "inside".
      base: specification of the base loss.
      rate: learning rate.
      delta: budget; `FREE` for none.
      strength: lambda over its unit; of a likelihood term, gamma over its unit.
      lam: lambda.
      gamma: weight of the likelihood term.
      drop: how the drop is counted.
      shape: of the penalty.
      scheme: that selected the pairs.
    """

    part: str
    loss: str
    form: str
    base: str
    rate: float
    delta: float = FREE
    strength: float = 0.0
    lam: float = 0.0
    gamma: float = 0.0
    drop: str = "sequence"
    shape: str = "hinge"
    scheme: str = "extremes"

    @property
    def amounts(self) -> Amounts:
        """Its numbers as arrays."""
        return Amounts(*(jnp.float32(x) for x in (self.lam, self.delta, self.gamma)))

    @property
    def program(self) -> "Program":
        """What it compiles: cells of one program share it."""
        return Program(self.form, self.base, self.drop, self.shape)


def objective(program: Program, pairs: PairLogps, amounts: Amounts) -> Array:
    """[B] the loss of a cell."""
    form, base, drop, shape = program
    loss: Callable[..., Array] = bcr_inside if form == "inside" else bcr_added
    total = loss(
        pairs, base=base, lam=amounts.lam, delta=amounts.delta, drop=drop, shape=shape
    )
    return total + amounts.gamma * mle(pairs)


def free(runs: Runs, part: str = "control", base: Base | None = None) -> Cell:
    """A base itself, DPO unless another is given."""
    label = "dpo" if base is None else base.spec
    base = base or runs.dpo
    return Cell(part, label, "outside", base.spec, base.rate)


def budgeted(
    runs: Runs,
    form: str,
    delta: float,
    strength: float,
    part: str = "delta",
    base: Base | None = None,
) -> Cell:
    """A budget on a base; lambda outside in units of what it pulls with at first."""
    label = form_on(form, base)
    base = base or runs.dpo
    lam = strength * (base.unit if form == "outside" else 1.0)
    return Cell(part, label, form, base.spec, base.rate, delta, strength, lam)


def form_on(form: str, base: Base | None) -> str:
    """Label of a form on DPO (None) or on another base."""
    return FORMS[form] if base is None else f"{FORMS[form]}(base={base.spec})"


def delta_cells(runs: Runs) -> Iterator[Cell]:
    """DPO and both forms over the budgets."""
    yield free(runs, "delta")
    for form, delta in itertools.product(FORMS, runs.deltas):
        yield budgeted(runs, form, delta, runs.strength)


def plane_cells(runs: Runs) -> Iterator[Cell]:
    """Every base, and both forms on it over budgets and strengths."""
    points = [(0.0, runs.strength)]
    points += itertools.product(runs.plane_deltas, runs.plane_strengths)
    for base in (None, *runs.other_bases):
        yield free(runs, "plane", base)
        for form, (delta, strength) in itertools.product(FORMS, points):
            yield budgeted(runs, form, delta, strength, "plane", base)


def sweep_cells(runs: Runs) -> Iterator[Cell]:
    """Budgets, strengths, bases and controls, on the first selection."""
    yield from delta_cells(runs)
    for form, strength in itertools.product(FORMS, runs.strengths):
        yield budgeted(runs, form, runs.delta, strength, part="lambda")
    yield from plane_cells(runs)
    for share in runs.gammas:
        gamma = share * runs.beta / 2
        yield replace(
            free(runs), loss=f"dpo + {gamma:g}*mle", strength=share, gamma=gamma
        )
    yield Cell(
        "control", f"dpop(lam={runs.dpop:g})", "inside", runs.dpo.spec, runs.rate, 0.0,
        runs.dpop, runs.dpop,
    )  # fmt: skip
    for drop, delta in itertools.product(runs.drops, runs.token_deltas):
        cell = budgeted(runs, "outside", delta, runs.strength, part="penalty")
        yield replace(cell, loss=f"bcr_added(drop={drop})", drop=drop)
    for shape in runs.shapes:
        cell = budgeted(runs, "outside", runs.delta, runs.strength, part="penalty")
        yield replace(cell, loss=f"bcr_added(shape={shape})", shape=shape)


def grid_cells(runs: Runs) -> Iterator[Cell]:
    """DPO and both forms on every selection."""
    for scheme in runs.schemes:
        cells = [free(runs)]
        cells += [budgeted(runs, form, runs.delta, runs.strength) for form in FORMS]
        for cell in cells:
            yield replace(cell, part="grid", scheme=scheme)
