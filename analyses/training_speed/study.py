"""How many preference pairs a second, in how much memory, beside TRL's DPOTrainer?

DPO on real pairs; the same weights, the same pairs, reference log-probabilities
computed beforehand on all sides. TRL's own training loop runs, and behind each of its
steps each way of gradlab takes one (`analyses.training_speed.ours`). So all sides share
the state of the machine. A first step of each side isn't counted.

A step of gradlab is timed from making the batch to its numbers on the host; one of TRL
without collating. Memory is the most that a process of its own holds during one round,
above what it held before the model was loaded: parameters, optimiser, activations. What
was freed before the round, as by compiling, is handed back first. Each side is measured
as fast as it is, and in a setting that saves memory for time: `saving` here, gradient
checkpointing in TRL, its default. Steps are timed beside the faster TRL.

Rows of the table, by metric:

    seconds                     of one step; `step` is the batch of the round
    pairs_per_second            of one round
    ratio, _low, _high          a side's pairs per second over TRL's: median, minimum
                                and maximum over rounds
    cost, _low, _high           seconds of a way of gradlab over those of all of it:
                                what is lost when a part is switched off
    columns, positions          tokens that the layers, and the head, run on in a round
    compile_seconds, shapes     of one way: what compiling took, with a step of each
                                shape, and how many shapes
    peak_mib                    memory; trl_checkpointing is TRL's default, which saves
                                memory for time
    difference                  of TRL's reference log-probabilities from ours, largest,
                                over the largest of ours
    skipped                     1: the manifest says why
"""

import importlib.util
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.speed.memory import own_process
from analyses.training_speed.config import DTYPE, PAIRS, Config
from analyses.training_speed.ours import OURS, SAVING, WAYS, Ours, load, reference
from analyses.training_speed.scene import Scene, lacking, made
from gradlab.errors import GradlabError
from gradlab.tables import StudyResult, select
from gradlab.training.rounds import Table
from gradlab.training.step import TrainState

STUDY, TRL = "training_speed", "trl"
COLUMNS = [
    "study", "loss", "seed", "step", "side", "size", "method", "round", "metric",
    "value",
]  # fmt: skip
TOLERANCE = 1e-4  # of reference log-probabilities, relative to the largest
ENDS = {"": "median", "_low": "min", "_high": "max"}
Row = dict[str, Any]


def run(config: Config, data: Path | None = None) -> StudyResult:
    """Measures all sizes; see the module's docstring.

    Args:
      config: settings.
      data: folder with pairs and a tokenizer; without it nothing is measured.

    Raises:
      GradlabError: the two sides don't read the same tokens or weights.
    """
    rows, skipped = [], {}
    if why := lacking(data):
        skipped["all"] = why
        rows.append({"metric": "skipped", "value": 1.0})
    elif not trl_found():
        skipped[TRL] = "trl is not installed"
        rows.append({"method": TRL, "metric": "skipped", "value": 1.0})
    if data is not None and not why:
        for seed in config.seeds:
            for size in config.sizes:
                with made(config, size, seed, data) as scene:
                    rows += [row | scene.key for row in _measured(scene)]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table = pd.concat([table, *_ratios(table)], ignore_index=True)
    table = table.assign(study=STUDY, loss="dpo", side="")
    table = table.astype({"step": "Int64", "round": "Int64"})
    notes = {"dtype": DTYPE, "pairs": PAIRS, "trl": _trl(), "skipped": skipped}
    return StudyResult(table, manifest=notes)


def trl_found() -> bool:
    """Whether TRL and what it stands on are installed."""
    return all(importlib.util.find_spec(n) for n in ("torch", "transformers", "trl"))


def _trl() -> str:
    if not trl_found():
        return "not installed"
    from analyses.training_speed.trl_side import description

    return description()


def _measured(scene: Scene) -> Iterator[Row]:
    """All rows of one scene, without ratios."""
    model, params = load(scene)
    names = WAYS if scene.size.ablate else [OURS, SAVING]
    sides = {name: Ours(scene, WAYS[name], model) for name in names}
    table = reference(sides[OURS], params)
    state = sides[OURS].start(params)
    del params
    for name, side in sides.items():
        side.compile(state, table)
        columns, positions = side.work(side.batches(table))
        yield _row(name, "columns", columns)
        yield _row(name, "positions", positions)
        yield _row(name, "compile_seconds", side.compile_seconds)
        yield _row(name, "shapes", side.shapes)
    turns = Turns(scene, sides, state, table)
    if trl_found():
        yield from _beside_trl(scene, turns, table)
    else:
        for number in range(1 + scene.size.rounds * scene.size.batches):
            turns.take(number)
    yield from turns.rows
    yield from _per_round(turns.rows, scene)
    del sides, turns, state
    if scene.config.measure_peaks:
        yield from _peaks(scene)


class Turns:
    """Steps of all ways of gradlab in turns, and what they took.

    They share parameters and optimiser, which each of them moves in the same way.
    """

    def __init__(
        self, scene: Scene, sides: dict[str, Ours], state: TrainState, table: Table
    ) -> None:
        """Begins at a state, with the reference in a table."""
        self.scene, self.sides, self.state, self.table = scene, sides, state, table
        self.rows: list[Row] = []

    def take(self, number: int, trl_seconds: float | None = None) -> None:
        """A step of each way, behind TRL's step of this number; the first is a try."""
        places = self.place(number)
        if trl_seconds is not None and number:
            self.rows.append(_row(TRL, "seconds", trl_seconds, **places))
        for name, side in self.sides.items():
            started = time.perf_counter()
            self.state, report = side.step(places["step"], self.state, self.table)
            seconds = time.perf_counter() - started
            if report.failed:
                raise GradlabError(f"{name}: the loss of step {number} is not finite")
            if number:
                self.rows.append(_row(name, "seconds", seconds, **places))

    def place(self, number: int) -> dict[str, int]:
        """Round, and the batch in it, of a step of this number."""
        batches = self.scene.size.batches
        return {"round": max(number - 1, 0) // batches, "step": number % batches}


def _beside_trl(scene: Scene, turns: Turns, table: Table) -> Iterator[Row]:
    """Trains with TRL, and takes our turns between its steps."""
    from analyses.training_speed import trl_side

    steps = 1 + scene.size.rounds * scene.size.batches
    trainer = trl_side.make_trainer(scene, steps)
    yield _row(TRL, "difference", _difference(trl_side.reference_sums(trainer), table))
    columns, positions = trl_side.work(scene)
    yield _row(TRL, "columns", columns)
    yield _row(TRL, "positions", positions)
    trl_side.train(trainer, turns.take)


def _difference(theirs: list[tuple[float, float]], table: Table) -> float:
    ours = np.array([[side.sum() for side in row] for row in table])
    found = float(np.abs(np.array(theirs) - ours).max() / np.abs(ours).max())
    if not found <= TOLERANCE:
        raise GradlabError(
            f"reference log-probabilities of TRL and gradlab differ by {found:.2g} of "
            f"the largest, expected at most {TOLERANCE:g}: these are other weights"
        )
    return found


def _per_round(rows: list[Row], scene: Scene) -> Iterator[Row]:
    """Pairs per second of each side in each round."""
    spent: dict[tuple[str, int], float] = {}
    for row in rows:
        key = (row["method"], row["round"])
        spent[key] = spent.get(key, 0.0) + row["value"]
    pairs = scene.size.batches * scene.config.batch_size
    for (name, number), seconds in spent.items():
        yield _row(name, "pairs_per_second", pairs / seconds, round=number)


def _peaks(scene: Scene) -> Iterator[Row]:
    """Peak memory of gradlab and of TRL, each as it is and saving memory."""
    trl = [TRL, f"{TRL}_checkpointing"] if trl_found() else []
    for name in [OURS, SAVING, *trl]:
        what = f"memory of {name} at {scene.size.name}"
        peak = own_process("analyses.training_speed.child", (scene, name), what)
        if not math.isnan(peak):
            yield _row(name, "peak_mib", peak)


def _row(method: str, metric: str, value: float, **keys: Any) -> Row:
    return {"method": method, "metric": metric, "value": float(value), **keys}


def _ratios(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Each side's pairs per second over TRL's; and ours over those of each way."""
    scene = ["seed", "size"]
    rates = select(table, metric="pairs_per_second").set_index([*scene, "round"])
    for metric, base in (("ratio", TRL), ("cost", OURS)):
        of_base = select(rates, method=base)["value"]
        compared = set(rates["method"]) - {base, TRL}
        others = select(rates, method=compared)
        ratios = others["value"] / of_base.reindex(others.index)
        others = others.assign(value=ratios if metric == "ratio" else 1 / ratios)
        by_side = others.dropna(subset="value").groupby([*scene, "method"], sort=False)
        for end, statistic in ENDS.items():
            found = by_side["value"].agg(statistic).reset_index()
            yield found.assign(metric=f"{metric}{end}")
