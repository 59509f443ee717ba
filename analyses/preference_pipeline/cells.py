"""Which losses are trained: the family of budgets, and what it is compared with.

Every cell is one of two functions of the library with numbers that compile once:
`bcr_added` on a base loss (with a likelihood term beside it) or `bcr_inside`. Without a
budget the first is its base; with a budget of 0 the second is `dpop`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from analyses.preference_pipeline.config import Runs
from gradlab.losses import bcr_added, bcr_inside, mle
from gradlab.types import Array, PairLogps

FREE = np.inf  # no budget: whatever the fall, no penalty


class Amounts(NamedTuple):
    """Numbers of a cell that may change without compiling anew."""

    lam: Array
    delta: Array
    gamma: Array


@dataclass(frozen=True)
class Cell:
    """One loss on one selection.

    Attributes:
      part: which question it answers: "delta", "lambda", "control", "base" or "grid".
      loss: its label.
      form: "outside" or "inside".
      base: specification of the base loss.
      rate: learning rate.
      delta: budget; `FREE` for none.
      strength: lambda over its unit; of a likelihood term, gamma over its unit.
      lam: lambda.
      gamma: weight of the likelihood term.
      drop: how the drop is counted.
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
    scheme: str = "extremes"

    @property
    def amounts(self) -> Amounts:
        """Its numbers as arrays."""
        return Amounts(*(jnp.float32(x) for x in (self.lam, self.delta, self.gamma)))

    @property
    def program(self) -> tuple[str, str, str]:
        """What it compiles: cells of one program share it."""
        return self.form, self.base, self.drop


def objective(
    program: tuple[str, str, str], beta: float, pairs: PairLogps, amounts: Amounts
) -> Array:
    """[B] the loss of a cell."""
    form, base, drop = program
    budget = {"lam": amounts.lam, "delta": amounts.delta, "drop": drop}
    if form == "inside":
        return bcr_inside(pairs, beta=beta, **budget)
    total = bcr_added(pairs, base=base, **budget)
    return total + amounts.gamma * mle(pairs)


def _dpo(runs: Runs) -> str:
    return f"dpo(beta={runs.beta!r})"


def free(runs: Runs, part: str = "control") -> Cell:
    """DPO itself."""
    return Cell(part, "dpo", "outside", _dpo(runs), runs.rate)


def budgeted(
    runs: Runs, form: str, delta: float, strength: float, part: str = "delta"
) -> Cell:
    """A budget on DPO; lambda in units of what DPO pulls with at the reference."""
    unit = runs.beta / 2 if form == "outside" else 1.0
    name = "bcr_added" if form == "outside" else "bcr_inside"
    return Cell(
        part, name, form, _dpo(runs), runs.rate, delta, strength, strength * unit
    )


def delta_cells(runs: Runs) -> Iterator[Cell]:
    """DPO and both forms over the budgets."""
    yield free(runs, "delta")
    for form in ("outside", "inside"):
        for delta in runs.deltas:
            yield budgeted(runs, form, delta, runs.strength)


def sweep_cells(runs: Runs) -> Iterator[Cell]:
    """Budgets, strengths, controls and other bases, on the first selection."""
    yield from delta_cells(runs)
    for form in ("outside", "inside"):
        for strength in runs.strengths:
            yield budgeted(runs, form, runs.delta, strength, part="lambda")
    for share in runs.gammas:
        gamma = share * runs.beta / 2
        yield replace(
            free(runs), loss=f"dpo + {gamma:g}*mle", strength=share, gamma=gamma
        )
    yield Cell(
        "control", f"dpop(lam={runs.dpop:g})", "inside", _dpo(runs), runs.rate, 0.0,
        runs.dpop, runs.dpop,
    )  # fmt: skip
    for base in runs.other_bases:
        plain = Cell("base", base.spec, "outside", base.spec, base.rate)
        yield plain
        for delta in runs.other_deltas:
            yield replace(
                plain, loss=f"bcr_added(base={base.spec})", delta=delta,
                strength=runs.strength, lam=runs.strength * base.unit,
            )  # fmt: skip
    for drop in runs.drops:
        for delta in runs.token_deltas:
            cell = budgeted(runs, "outside", delta, runs.strength, part="base")
            yield replace(cell, loss=f"bcr_added(drop={drop})", drop=drop)


def grid_cells(runs: Runs) -> Iterator[Cell]:
    """DPO and both forms on every selection."""
    for scheme in runs.schemes:
        cells = [free(runs)]
        cells += [
            budgeted(runs, form, runs.delta, runs.strength)
            for form in ("outside", "inside")
        ]
        for cell in cells:
            yield replace(cell, part="grid", scheme=scheme)
