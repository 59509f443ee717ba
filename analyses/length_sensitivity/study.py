"""The study from end to end: identities and optima, runs, real pairs, verdicts."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.record import Record, compile_effort
from analyses.common.rows import Row, row
from analyses.length_sensitivity import eos, identities, real, tabular
from analyses.length_sensitivity.cells import (
    Bench,
    Cell,
    make_bench,
    reference_rows,
    run_cells,
)
from analyses.length_sensitivity.config import Config
from analyses.length_sensitivity.losses import bound
from analyses.length_sensitivity.rows import make_table
from analyses.length_sensitivity.verdicts import make_claims
from gradlab.measures import doubling_change
from gradlab.models import LanguageModel
from gradlab.tables import StudyResult
from gradlab.types import Params

DOUBLED = ("dpo", "mle(reduction=mean)")


def run(config: Config, data: Path | None = None) -> StudyResult:
    """Measures everything and judges the claims.

    Args:
      config: settings.
      data: folder with real pairs and models/stories260K; sets that need a file which
        is absent are skipped.

    Returns:
      The table in long format, the claims with their verdicts, and for the manifest the
      dtype, digests of optional data, and what was skipped.
    """
    record = Record(config.time_limit, skipped=real.missing(config, data))
    with compile_effort(quick=config.quick_compile):
        with jax.enable_x64(True):
            for seed in config.seeds:
                record.rows.extend(identities.identity_rows(config, seed))
                record.rows.extend(tabular.tabular_rows(config, seed))
            record.rows.extend(identities.weight_rows(config))
            record.say("identities and optima")
        for name in config.real.datasets:
            if data is not None and name not in record.skipped:
                record.add(name, partial(real.dataset_rows, config, name, data))
                record.say(name)
        _runs(config, record)
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    manifest = {
        "dtype": "float64 identities and optima, float32 models",
        "data_digest": real.digests(config, data),
        "skipped": record.skipped,
    }
    return StudyResult(table, claims, manifest)


def _runs(config: Config, record: Record) -> None:
    """References, all settings, and what is measured of single policies."""
    bench = make_bench(config)
    record.say("references")
    record.rows.extend(reference_rows(bench))
    record.rows.extend(eos.eos_rows(bench, first_pairs(bench)))
    for cell, policies, data in run_cells(bench, record):
        if _is_plain_dpo(cell, config):
            for number, params in enumerate(policies):
                some, ref = data[number], bench.references[number]
                record.rows.extend(
                    doubling_rows(
                        bench.model, params, ref, some, config.seeds[number],
                        bench.width,
                    )
                )  # fmt: skip


def first_pairs(bench: Bench) -> list[PairArrays]:
    """The pairs of each seed under the first kappa."""
    return bench.data(Cell("dpo", {}, bench.config.task.kappas[0]))


def _is_plain_dpo(cell: Cell, config: Config) -> bool:
    plain = cell.loss == "dpo" and cell.rate == 1 and not cell.keys
    return plain and cell.beta == 0.1 and cell.kappa == config.task.kappas[0]


def doubling_rows(
    model: LanguageModel,
    params: Params,
    ref: Params,
    data: PairArrays,
    seed: int,
    width: int,
) -> Iterator[Row]:
    """Mean share by which a loss changes when every token counts twice."""
    pairs = real.score(model, params, ref, data, width)
    for loss in DOUBLED:
        change, value = doubling_change(bound(loss), pairs), bound(loss)(pairs)
        share = np.asarray(jnp.abs(change) / jnp.abs(value)).mean()
        yield row("doubling_share", share, kind="policy", loss=loss, seed=seed)
