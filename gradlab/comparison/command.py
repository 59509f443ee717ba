"""What `gradlab compare` does: load, score, weigh, write, say where it all went."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from gradlab.comparison.config import CompareConfig
from gradlab.comparison.frames import summary_frame, with_loss
from gradlab.comparison.printing import summary_table
from gradlab.comparison.sources import Source, read_source
from gradlab.comparison.weighing import LossWeights, weigh
from gradlab.inputs.choices import check_pair, output_folder
from gradlab.inputs.reporting import report, run_manifest
from gradlab.plotting import comparison_figures, example_pair, save_figure
from gradlab.plotting.pairs import FIGURE_PAIRS
from gradlab.report import add_report, drop_report
from gradlab.tables import stage, write_manifest, write_table

FILES = ("tokens.parquet", "summary.csv", "prompts.parquet", "manifest.json")


@dataclass(frozen=True)
class Outcome:
    """The result of one comparison.

    Attributes:
      folder: where the files are.
      summary: one row per loss.
    """

    folder: Path
    summary: pd.DataFrame


def compare(config: CompareConfig) -> Outcome:
    """Run one comparison and write its folder.

    Raises:
      GradlabError: any refused input; the folder is then as it was.
    """
    with output_folder(config, "compare") as folder:
        return _compare(config, folder)


def _compare(config: CompareConfig, folder: Path) -> Outcome:
    started = time.monotonic()
    console = Console(stderr=True)
    source = read_source(config, console)
    weighed = weigh(source.scored, source.losses, seed=config.seed)
    summary = summary_frame(source.scored, source.regions, weighed)
    with stage(folder) as partial:
        shown = _write_tokens(partial / "tokens.parquet", source, weighed, config)
        write_table(summary, partial / "summary.csv")
        write_table(source.prompts, partial / "prompts.parquet")
        figures = comparison_figures(shown, summary, pair=config.pair)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        manifest = run_manifest(
            config,
            source.origin,
            source.losses,
            command="gradlab compare",
            dtype=source.dtype,
            seconds=time.monotonic() - started,
        )
        write_manifest(manifest, partial / "manifest.json")
        pages = add_report(partial, folder) if config.report else ()
    if not pages:
        drop_report(folder)
    report(console, summary_table(summary), folder, (*FILES, *pages), list(figures))
    return Outcome(folder, summary)


def _write_tokens(
    path: Path,
    source: Source,
    weighed: Sequence[LossWeights],
    config: CompareConfig,
) -> pd.DataFrame:
    """Write the tokens table loss by loss; returns the rows that the figures show.

    One row group per loss: memory stays that of one loss however many there are.
    """
    tokens, scored = source.tokens, source.scored
    labels = [weights.loss.label for weights in weighed]
    first = with_loss(tokens, scored, weighed[0], labels)
    check_pair(config.pair, len(scored.rows))
    pair = example_pair(first) if config.pair is None else config.pair
    figured = (tokens["pair"] < FIGURE_PAIRS) | (tokens["pair"] == pair)
    shown = []
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for weights in weighed:
            rows = with_loss(tokens, scored, weights, labels)
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
            shown.append(rows[figured])
    return pd.concat(shown, ignore_index=True)
