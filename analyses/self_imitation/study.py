"""The study from end to end: identities, tabular problems, decoders, verdicts."""

from functools import partial
from pathlib import Path

import jax

from analyses.common.record import Record, compile_effort
from analyses.self_imitation import drain, identities, tabular
from analyses.self_imitation.config import Config
from analyses.self_imitation.members import GSIL
from analyses.self_imitation.policy import make_scene
from analyses.self_imitation.rows import make_table
from analyses.self_imitation.runs import pair_rows, play_rows, plays
from analyses.self_imitation.verdicts import make_claims
from analyses.self_imitation.word_runs import word_plays, word_rows
from analyses.self_imitation.words import make_word_scene
from gradlab.tables import StudyResult


def run(config: Config, data: Path | None = None) -> StudyResult:
    """Measures everything and judges the claims.

    Args:
      config: settings.
      data: not read: this study makes its own.

    Returns:
      The table in long format, the claims with their verdicts, and for the manifest the
      dtype and what was skipped.
    """
    record = Record(config.time_limit)
    with compile_effort(quick=config.quick_compile):
        with jax.enable_x64(True):
            _tabular(record, config)
        for seed in config.seeds:
            _decoder(record, config, seed)
        for seed in config.seeds[: config.words.seeds]:
            _words(record, config, seed)
    table = make_table(record.rows)
    claims = make_claims(table, config, record.skipped)
    record.say("verdicts")
    dtype = "float64; decoders in float32"
    return StudyResult(table, claims, {"dtype": dtype, "skipped": record.skipped})


def _tabular(record: Record, config: Config) -> None:
    record.rows.extend(identities.identity_rows(config))
    for seed in range(config.tabular.problems):
        record.rows.extend(tabular.optimum_rows(config, seed))
    record.say("identities")
    for loss in config.learners:
        record.add("tabular", partial(tabular.tabular_rows, config, loss))
        if loss in GSIL:
            record.add("drain", partial(drain.drain_rows, config, loss))
        record.say(f"tabular: {loss}")


def _decoder(record: Record, config: Config, seed: int) -> None:
    scene = make_scene(config.runs, seed)
    record.say(f"seed {seed}: decoder")
    for play in plays(config):
        record.add(play.part, partial(play_rows, scene, play))
    record.say(f"seed {seed}: self-play")
    for loss in config.on_pairs:
        record.add("lm pairs", partial(pair_rows, scene, loss))
    record.say(f"seed {seed}: corrupted pairs")


def _words(record: Record, config: Config, seed: int) -> None:
    scene = make_word_scene(config.words, seed)
    record.say(f"seed {seed}: decoder of word problems")
    for play in word_plays(config):
        record.add(play.part, partial(word_rows, scene, play))
    record.say(f"seed {seed}: self-play on word problems")
