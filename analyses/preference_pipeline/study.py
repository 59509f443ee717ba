"""The study from end to end: judges, linear models, training runs, verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import jax

from analyses.common.record import Record, compile_effort
from analyses.common.rows import Row, row
from analyses.preference_pipeline.cells import (
    FREE,
    Cell,
    delta_cells,
    grid_cells,
    sweep_cells,
)
from analyses.preference_pipeline.config import Config, Runs
from analyses.preference_pipeline.equal_kl import equal_kl_rows
from analyses.preference_pipeline.linear import linear_rows
from analyses.preference_pipeline.rows import make_table
from analyses.preference_pipeline.runs import train_cell
from analyses.preference_pipeline.scene import Scene, make_pairs, make_scene, select
from analyses.preference_pipeline.schemes import Picked
from analyses.preference_pipeline.selection import selection_rows
from analyses.preference_pipeline.thresholds import threshold_rows
from analyses.preference_pipeline.verdicts import make_claims
from gradlab.tables import StudyResult


def run(config: Config) -> StudyResult:
    """Measures everything and judges the claims.

    Args:
      config: settings.

    Returns:
      The table in long format, the claims with their verdicts, and for the manifest
      what was skipped.
    """
    record = Record(config.time_limit)
    for seed in config.seeds:
        record.add("judges", partial(selection_rows, config.judging, seed))
        record.say(f"seed {seed}: judges and schemes")
    with compile_effort(quick=config.quick_compile):
        with jax.enable_x64(True):
            for seed in config.seeds:
                record.add("linear", partial(linear_rows, config, seed))
        record.say("linear models")
        for seed in config.tuning_seeds:
            record.add("tuning", partial(_tuning_rows, config, seed))
            record.say(f"tuning seed {seed}")
        for seed in config.seeds:
            record.add("runs", partial(_training_rows, config, seed))
            record.say(f"seed {seed}: training runs")
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    manifest = {"dtype": "float32; linear models in float64", "skipped": record.skipped}
    return StudyResult(table, claims, manifest)


def _tuning_rows(config: Config, seed: int) -> Iterator[Row]:
    """The sweep of budgets on a seed of its own, and what it starts from."""
    scene = make_scene(config.task, seed)
    worth = scene.held_utilities.mean()
    yield row("utility", worth, part="tuning reference", seed=seed)
    for found in _runs(config, scene, list(delta_cells(config.runs))):
        if found["part"] == "delta":
            yield {**found, "part": "tuning"}


def _training_rows(config: Config, seed: int) -> Iterator[Row]:
    """All runs of a seed, and what they start from."""
    scene = make_scene(config.task, seed)
    yield row("fit", scene.reference.cross_entropy, part="reference", seed=seed)
    worth = scene.held_utilities.mean()
    yield row("utility", worth, part="reference", seed=seed)
    cells = [*sweep_cells(config.runs), *grid_cells(config.runs)]
    yield from _runs(config, scene, cells)


def _runs(config: Config, scene: Scene, cells: Sequence[Cell]) -> Iterator[Row]:
    """Trains every cell; what two parts share is trained once."""
    runs, found = config.runs, {}
    others = {base.spec: base for base in runs.other_bases}
    for scheme in dict.fromkeys(cell.scheme for cell in cells):
        picked = select(scene.samples, scene.task, scheme, scene.seed)
        yield from _pair_rows(scene, picked, scheme)
        pairs = make_pairs(scene, picked)
        for cell in (cell for cell in cells if cell.scheme == scheme):
            same = replace(cell, part="")
            if same not in found:
                found[same] = train_cell(scene, pairs, cell, runs)
            yield from (_named(cell, one, scene) for one in found[same].rows)
            if cell.part == "plane" and cell.delta == FREE:
                reached, base = found[same].policies, others.get(cell.base)
                policies = {step: reached[step] for step in runs.threshold_stops}
                for one in threshold_rows(scene, pairs, policies, base, runs):
                    yield {**one, "part": "threshold", "seed": scene.seed}
    start = float(scene.held_utilities.mean())
    for own in _sweeps(cells, runs):
        sweep = {cell: found[replace(cell, part="")].rows for cell in own}
        for cell, one in equal_kl_rows(sweep, start, runs.steps):
            yield _named(cell, one, scene)


def _sweeps(cells: Sequence[Cell], runs: Runs) -> Iterator[list[Cell]]:
    """What is matched in KL: a base's budgets in both forms; selections and losses."""
    yield [cell for cell in cells if cell.part == "delta"]
    grid = [cell for cell in cells if cell.part == "grid"]
    if grid:
        yield grid
    for base in runs.other_bases:
        own = [cell for cell in cells if (cell.part, cell.base) == ("plane", base.spec)]
        own = [cell for cell in own if cell.strength in (0.0, runs.strength)]
        if own:
            yield own


def _named(cell: Cell, found: Row, scene: Scene) -> Row:
    """The row with the keys of its cell and seed."""
    keys = ("part", "scheme", "loss", "delta", "strength")
    return {**found, **{key: getattr(cell, key) for key in keys}, "seed": scene.seed}


def _pair_rows(scene: Scene, picked: Picked, scheme: str) -> Iterator[Row]:
    """What the selected pairs are worth in true utility, and what they cost."""
    keys = {"part": "pairs", "scheme": scheme, "seed": scene.seed}
    rows, utilities = range(len(picked.chosen)), scene.samples.utilities
    gap = utilities[rows, picked.chosen] - utilities[rows, picked.rejected]
    yield row("pair_gap", gap.mean(), **keys)
    yield row("mislabel", (gap < 0).mean(), **keys)
    yield row("calls", picked.calls.mean(), **keys)
