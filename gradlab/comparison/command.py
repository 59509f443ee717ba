"""What `gradlab compare` does: load, score, weigh, write, say where it all went."""

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from gradlab.comparison.config import CompareConfig
from gradlab.comparison.frames import regions_of, summary_frame, token_frame
from gradlab.comparison.printing import summary_table
from gradlab.comparison.weighing import weigh
from gradlab.comparison.writing import write_tokens
from gradlab.inputs.choices import (
    check_pair,
    chosen_losses,
    output_folder,
)
from gradlab.inputs.loading import load_inputs, score_inputs
from gradlab.inputs.reporting import (
    prompt_frame,
    report,
    run_manifest,
    write_sources,
)
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
    started = time.monotonic()
    console = Console(stderr=True)
    losses = chosen_losses(config.losses)
    folder = output_folder(config, "compare")
    inputs = load_inputs(config, console)
    check_pair(config.pair, len(inputs.pairs))
    scored = score_inputs(inputs, losses, console)
    weighed = weigh(scored, losses, seed=config.seed)
    regions = regions_of(scored)
    summary = summary_frame(scored, regions, weighed)
    tokens = token_frame(scored, regions, inputs.tokenizer.token_texts)
    with stage(folder) as partial:
        path = partial / "tokens.parquet"
        shown = write_tokens(path, tokens, scored, weighed, pair=config.pair)
        write_table(summary, partial / "summary.csv")
        write_table(prompt_frame(inputs), partial / "prompts.parquet")
        figures = comparison_figures(shown, summary, pair=config.pair)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        if config.source_data:
            write_sources(partial, comparison_sources(shown, summary, pair=config.pair))
        manifest = run_manifest(
            config,
            inputs,
            losses,
            command="gradlab compare",
            dtype="float32 scores, float64 weights",
            seconds=time.monotonic() - started,
        )
        write_manifest(manifest, partial / "manifest.json")
        pages = add_report(partial, folder) if config.report else ()
    drop_earlier(folder, config)
    report(console, summary_table(summary), folder, (*FILES, *pages), list(figures))
    return Outcome(folder, summary)
