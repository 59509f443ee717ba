"""The study from end to end: kinds by seed, then the runs, then the verdicts."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jax
import numpy as np

from analyses.drift_prediction import (
    curves,
    ledger,
    one_step,
    order,
    pairwise,
    squeezing,
    subsets,
)
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pair_kinds import SYNTHETIC, digests, kinds_of, missing
from analyses.drift_prediction.policy import Scene, make_scene
from analyses.drift_prediction.rows import Row, make_table, row
from analyses.drift_prediction.verdicts import make_claims
from gradlab.tables import StudyResult

OVER = "the time limit was reached first"


@dataclass
class Record:
    """What a run has gathered so far.

    Attributes:
      config: of the run.
      rows: of the table.
      sums: kind -> for each seed the sums from which its correlations follow.
      skipped: kind or claim -> why it has no rows, or not of every seed.
      started: when.
    """

    config: Config
    rows: list[Row] = field(default_factory=list)
    sums: dict[str, list[np.ndarray]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A progress line."""
        seconds = time.monotonic() - self.started
        print(f"{seconds:6.0f} s  {text}", file=sys.stderr, flush=True)

    def add(self, name: str, part: Callable[[], Iterable[Row]]) -> None:
        """Runs a part unless the time limit is over; then it is marked as skipped."""
        if time.monotonic() - self.started > self.config.time_limit:
            self.skipped[name] = OVER
            return
        self.rows.extend(part())


def run(config: Config, data: Path | None = None) -> StudyResult:
    """Measures everything and judges the claims.

    Args:
      config: settings.
      data: folder with real pairs and models/stories260K; kinds that need a file which
        is absent are skipped.

    Returns:
      The table in long format, the claims with their verdicts, and for the manifest the
      dtype, digests of optional data, and what was skipped.
    """
    record = Record(config, skipped=missing(config, data))
    with jax.enable_x64(True), compile_effort(quick=config.quick_compile):
        for seed in config.seeds:
            record.rows.extend(squeezing.tabular_rows(seed))
            for kind in kinds_of(config, seed, data):
                record.add(kind.name, partial(_measure, record, kind, seed))
                record.say(f"seed {seed}: {kind.name}")
        if config.runs.curve_steps and "arithmetic" in config.kinds:
            for seed in config.seeds:
                record.add("S6.7", partial(curves.curve_rows, config, seed))
                record.say(f"seed {seed}: learning curves")
    for kind, sums in record.sums.items():
        record.rows.extend(one_step.bootstrap_rows(sums, config, kind=kind))
    kinked = config.losses_with_kinks()
    record.rows.extend(
        row("kinked", loss in kinked, loss=loss) for loss in config.losses
    )
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    manifest = {
        "dtype": "float64; fits, subsets and learning curves in float32",
        "data_digest": digests(config, data),
        "skipped": record.skipped,
    }
    return StudyResult(table, claims, manifest)


@contextlib.contextmanager
def compile_effort(*, quick: bool) -> Iterator[None]:
    """Lets XLA optimise less while the block runs, or as usual."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", quick)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def _measure(record: Record, kind, seed: int) -> list[Row]:
    """All measurements of one kind under one seed."""
    config, keys = record.config, {"kind": kind.name, "seed": seed}
    scene = make_scene(kind, config, seed)
    drifts = one_step.measure_drifts(scene, config)
    record.sums.setdefault(kind.name, []).append(one_step.pair_sums(drifts))
    rows = [
        *one_step.agreement_rows(drifts, **keys),
        *one_step.concentration_rows(drifts, scene, config, **keys),
    ]
    if seed == config.seeds[0]:
        rows += one_step.token_rows(drifts, config, **keys)
    pairs = list(pairwise.pair_rows(scene, config, **keys))
    rows += pairs
    if kind.name in SYNTHETIC:
        rows += pairwise.condition_rows(scene, config, **keys)
    rows += _of_some_kinds(scene, config, pairs, keys)
    return rows


def _of_some_kinds(scene: Scene, config: Config, pairs: list[Row], keys: dict):
    """The order of the error, squeezing, and short runs."""
    name = scene.kind.name

    def measured(metric: str) -> np.ndarray:
        return np.array([pair["value"] for pair in pairs if pair["metric"] == metric])

    if name == "answers":
        yield from squeezing.fixed_feature_rows(scene, config, **keys)
    if name == "edits":
        yield from order.order_rows(scene, config, config.losses, **keys)
        yield from squeezing.decoder_rows(scene, config, **keys)
        if config.runs.ledger_steps:
            yield from ledger.ledger_rows(scene, config, **keys)
        if config.runs.subset_steps:
            yield from subsets.percentile_rows(scene, config, measured("ches"), **keys)
    if name == "arithmetic" and config.some_losses:
        yield from order.order_rows(scene, config, config.some_losses, **keys)
    if name in ("edits", "arithmetic") and config.runs.subset_steps:
        yield from subsets.lowest_rows(scene, config, measured("ln_ches"), **keys)
