"""The study from end to end: kinds by seed, then the runs, then the verdicts."""

from functools import partial
from pathlib import Path

import jax
import numpy as np

from analyses.common.record import Record, compile_effort
from analyses.common.rows import Row, row
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
from analyses.drift_prediction.pair_kinds import (
    SYNTHETIC,
    Kind,
    digests,
    kinds_of,
    missing,
)
from analyses.drift_prediction.policy import Scene, make_scene
from analyses.drift_prediction.rows import make_table
from analyses.drift_prediction.verdicts import make_claims
from gradlab.tables import StudyResult


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
    record, sums = Record(config.time_limit, skipped=missing(config, data)), {}
    with jax.enable_x64(True), compile_effort(quick=config.quick_compile):
        for seed in config.seeds:
            record.rows.extend(squeezing.tabular_rows(seed))
            for kind in kinds_of(config, seed, data):
                record.add(kind.name, partial(_measure, config, kind, seed, sums))
                record.say(f"seed {seed}: {kind.name}")
        if config.runs.curve_steps and "arithmetic" in config.kinds:
            for seed in config.seeds:
                record.add("S6.7", partial(curves.curve_rows, config, seed))
                record.say(f"seed {seed}: learning curves")
    for kind, found in sums.items():
        record.rows.extend(one_step.bootstrap_rows(found, config, kind=kind))
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


def _measure(
    config: Config, kind: Kind, seed: int, sums: dict[str, list[np.ndarray]]
) -> list[Row]:
    """All measurements of one kind under one seed.

    The sums from which its correlations follow are added to the kind's in `sums`.
    """
    keys = {"kind": kind.name, "seed": seed}
    scene = make_scene(kind, config, seed)
    drifts = one_step.measure_drifts(scene, config)
    sums.setdefault(kind.name, []).append(one_step.pair_sums(drifts))
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
