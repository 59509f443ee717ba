"""What `gradlab length` does: load, score, weigh, measure, write, report."""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from gradlab.comparison.weighing import weigh
from gradlab.errors import GradlabError
from gradlab.inputs.choices import chosen_losses, output_folder
from gradlab.inputs.loading import load_inputs, score_inputs
from gradlab.inputs.reporting import prompt_frame, report, run_manifest
from gradlab.length.config import LengthConfig
from gradlab.length.frames import pair_frame, summary_frame
from gradlab.length.printing import summary_table
from gradlab.plotting import length_figures, save_figure
from gradlab.tables import stage, write_manifest, write_table

FILES = ("pairs.csv", "summary.csv", "prompts.parquet", "manifest.json")


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
    with stage(folder) as partial:
        write_table(pairs, partial / "pairs.csv")
        write_table(summary, partial / "summary.csv")
        write_table(prompt_frame(inputs), partial / "prompts.parquet")
        figures = length_figures(pairs, summary)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        manifest = run_manifest(
            config,
            inputs,
            losses,
            command="gradlab length",
            dtype="float32 scores, float64 weights",
            seconds=time.monotonic() - started,
        )
        write_manifest(manifest, partial / "manifest.json")
    report(console, summary_table(summary), folder, FILES, list(figures))
    return Outcome(folder, summary, pairs)
