"""The study from end to end: forms, tabular dynamics, runs, then the verdicts."""

from functools import partial
from pathlib import Path

import jax

from analyses.common.record import Record, compile_effort
from analyses.gradient_framework import (
    conditions,
    exact,
    loglinear,
    real,
    tabular,
)
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.g2 import Course, size_rows
from analyses.gradient_framework.rows import make_table
from analyses.gradient_framework.verdicts import make_claims
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
    record = Record(config.time_limit, skipped=real.missing(config, data))
    with compile_effort(quick=config.quick_compile):
        with jax.enable_x64(True):
            record.add("forms", lambda: _forms(config))
            record.say("forms and tabular dynamics")
        course = Course(config, config.main, config.seeds)
        _follow(course, config, record)
        if config.condition_pairs:
            _conditions(course, config, record)
        for setting in config.others:
            _some(config, setting, record)
        record.add("S1.5", lambda: size_rows(config))
        record.say("data sizes")
        record.add("log-linear", lambda: loglinear.sweep_rows(config))
        record.say("log-linear sweep")
        for kind in real.KINDS if config.real_losses else ():
            if data is not None and kind not in record.skipped:
                record.add(kind, partial(real.real_rows, config, kind, data))
                record.say(kind)
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    manifest = {
        "dtype": "float64 forms, tabular dynamics and conditions; float32 training",
        "data_digest": real.digests(config, data),
        "skipped": record.skipped,
    }
    return StudyResult(table, claims, manifest)


def _forms(config: Config):
    yield from exact.curve_rows(config)
    yield from exact.identity_rows(config)
    yield from tabular.sign_rows(config)
    yield from tabular.dynamics_rows(config)


def _follow(course: Course, config: Config, record: Record) -> None:
    """Every loss and stage of the main setting."""
    record.add("start", course.start_rows)
    for loss in config.losses:
        record.add(loss, partial(course.run_rows, loss))
        record.say(loss)
    for first, second in config.stages:
        record.add(f"{first}, then {second}", partial(course.stage_rows, first, second))
        record.say(f"{first}, then {second}")
    record.add("compared", course.compared_rows)
    record.say("compared")


def _conditions(course: Course, config: Config, record: Record) -> None:
    """Parameter gradients at the start of the main setting."""
    with jax.enable_x64(True):
        record.add("S1.12", partial(conditions.condition_rows, config, course))
        record.add("S1.8", partial(conditions.prefix_rows, config, course))
    record.say("conditions")


def _some(config: Config, setting, record: Record) -> None:
    """Some losses in a further setting."""

    def rows():
        course = Course(config, setting, config.seeds)
        for loss in config.some_losses:
            yield from course.run_rows(loss)

    record.add(setting.name, rows)
    record.say(setting.name)
