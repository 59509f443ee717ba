"""The study from end to end: theory, single steps, training runs, verdicts."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import jax

from analyses.common.record import Record, compile_effort
from analyses.common.rows import Row
from analyses.edit_distance import one_step, real, runs, theory
from analyses.edit_distance.cells import Cell, parts_in_order, runs_of
from analyses.edit_distance.config import Config
from analyses.edit_distance.rows import make_table
from analyses.edit_distance.verdicts import make_claims
from gradlab.tables import StudyResult


def run(config: Config, data: Path | None = None) -> StudyResult:
    """Measures everything and judges the claims.

    Args:
      config: settings.
      data: folder with real pairs and models/stories260K; kinds whose file is absent
        are skipped.

    Returns:
      The table in long format, the claims with their verdicts, and for the manifest the
      dtype, digests of optional data, and what was skipped.
    """
    record = Record(config.time_limit, skipped=real.missing(config, data))
    with jax.enable_x64(True):
        for seed in config.seeds:
            record.rows.extend(theory.theory_rows(seed))
        record.rows.extend(theory.ratio_rows())
    with compile_effort(quick=config.quick_compile):
        _measure(config, record, data)
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    manifest = {
        "dtype": "float32; identities in float64",
        "data_digest": real.digests(config, data),
        "skipped": record.skipped,
    }
    return StudyResult(table, claims, manifest)


def _measure(config: Config, record: Record, data: Path | None) -> None:
    """Runs by importance, so that a time limit costs the sweeps first."""
    kinds = [k for k in ("text", "arithmetic") if runs_of(config, k).stages]
    for kind in kinds:
        for seed in config.seeds:
            record.add(kind, partial(_start, config, kind, seed))
        record.say(f"{kind}: starts and single steps")
    for kind in (k for k in real.real_kinds(config) if k not in record.skipped):
        assert data is not None  # or the kind would be missing
        for seed in config.seeds:
            record.add(kind, partial(real.real_rows, config, kind, seed, data))
        record.say(kind)
    for kind, part, cells in parts_in_order(config):
        for seed in config.seeds:
            record.add(f"{kind}, {part}", partial(_train, config, cells, seed))
            record.say(f"seed {seed}: {len(cells)} runs of {kind}, {part}")


def _start(config: Config, kind: str, seed: int) -> Iterator[Row]:
    yield from runs.start_rows(config, kind, seed)
    yield from one_step.synthetic_rows(config, kind, seed)


def _train(config: Config, cells: Sequence[Cell], seed: int) -> Iterator[Row]:
    for cell in cells:
        yield from runs.run_rows(config, cell, seed)
