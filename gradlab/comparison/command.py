"""What `gradlab compare` does: load, score, weigh, write, say where it all went."""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from gradlab.comparison.config import CompareConfig
from gradlab.comparison.frames import summary_frame
from gradlab.comparison.printing import summary_table
from gradlab.comparison.sources import read_source
from gradlab.comparison.weighing import weigh
from gradlab.comparison.writing import write_tokens
from gradlab.inputs.choices import check_pair, output_folder
from gradlab.inputs.reporting import report, run_manifest, write_sources
from gradlab.plotting import comparison_figures, comparison_sources, save_figure
from gradlab.report import add_report, drop_earlier
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
    scored = source.scored
    check_pair(config.pair, len(scored.rows))
    weighed = weigh(scored, source.losses, seed=config.seed)
    summary = summary_frame(scored, source.regions, weighed)
    with stage(folder) as partial:
        path = partial / "tokens.parquet"
        shown = write_tokens(path, source.tokens, scored, weighed, pair=config.pair)
        write_table(summary, partial / "summary.csv")
        write_table(source.prompts, partial / "prompts.parquet")
        figures = comparison_figures(shown, summary, pair=config.pair)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        if config.source_data:
            write_sources(partial, comparison_sources(shown, summary, pair=config.pair))
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
    drop_earlier(folder, config)
    report(console, summary_table(summary), folder, (*FILES, *pages), list(figures))
    return Outcome(folder, summary)
