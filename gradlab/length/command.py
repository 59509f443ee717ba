"""What `gradlab length` does: load, score, weigh, measure, write, report."""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from gradlab.comparison.frames import regions_of, token_frame
from gradlab.comparison.weighing import weigh
from gradlab.comparison.writing import write_tokens
from gradlab.errors import GradlabError
from gradlab.inputs.choices import chosen_losses, output_folder
from gradlab.inputs.loading import load_inputs, score_inputs
from gradlab.inputs.reporting import (
    prompt_frame,
    report,
    run_manifest,
    write_sources,
)
from gradlab.length.config import LengthConfig
from gradlab.length.frames import pair_frame, summary_frame
from gradlab.length.printing import summary_table
from gradlab.plotting import length_figures, length_sources, save_figure
from gradlab.report import add_report, drop_earlier
from gradlab.tables import stage, write_manifest, write_table

FILES = (
    "tokens.parquet", "pairs.csv", "summary.csv", "prompts.parquet", "manifest.json",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The result of one analysis.

    Attributes:
      folder: where the files are.
      summary: one row per loss.
      pairs: one row per loss and pair.
    """

    folder: Path
    summary: pd.DataFrame
    pairs: pd.DataFrame


def length(config: LengthConfig) -> Outcome:
    """Run one analysis and write its folder.

    Raises:
      GradlabError: any refused input; the folder is then as it was.
    """
    with output_folder(config, "length") as folder:
        return _length(config, folder)


def _length(config: LengthConfig, folder: Path) -> Outcome:
    started = time.monotonic()
    console = Console(stderr=True)
    for option, value in (("padding", config.padding), ("draws", config.draws)):
        if value < 1:
            raise GradlabError(f"--{option} is {value}; expected at least 1")
    losses = chosen_losses(config.losses)
    inputs = load_inputs(config, console)
    scored = score_inputs(inputs, losses, console)
    weighed = weigh(scored, losses, seed=config.seed)
    pairs = pair_frame(scored, weighed, padding=config.padding, seed=config.seed)
    summary = summary_frame(pairs, weighed, draws=config.draws, seed=config.seed)
    tokens = token_frame(scored, regions_of(scored), inputs.tokenizer.token_texts)
    with stage(folder) as partial:
        write_tokens(partial / "tokens.parquet", tokens, scored, weighed)
        write_table(pairs, partial / "pairs.csv")
        write_table(summary, partial / "summary.csv")
        write_table(prompt_frame(inputs), partial / "prompts.parquet")
        figures = length_figures(pairs, summary)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        if config.source_data:
            write_sources(partial, length_sources(pairs, summary))
        manifest = run_manifest(
            config,
            inputs,
            losses,
            command="gradlab length",
            dtype="float32 scores, float64 weights",
            seconds=time.monotonic() - started,
        )
        write_manifest(manifest, partial / "manifest.json")
        pages = add_report(partial, folder) if config.report else ()
    drop_earlier(folder, config)
    report(console, summary_table(summary), folder, (*FILES, *pages), list(figures))
    return Outcome(folder, summary, pairs)
