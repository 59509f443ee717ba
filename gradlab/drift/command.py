"""What `gradlab drift` does: load, score, take each step, write, report."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from gradlab.comparison.frames import regions_of, token_frame
from gradlab.comparison.weighing import LossWeights, weigh
from gradlab.data.batches import batches
from gradlab.data.pair_batches import pair_batches
from gradlab.drift.config import DriftConfig
from gradlab.drift.frames import (
    edits_of,
    pair_frame,
    summary_row,
    with_step,
    with_sums,
)
from gradlab.drift.gram import gram_frame
from gradlab.drift.optimiser import build_optimiser
from gradlab.drift.own import Scores, pair_scores
from gradlab.drift.passes import Corpus, Sides
from gradlab.drift.printing import summary_table
from gradlab.drift.steps import PASSES_PER_LOSS, LossStep, loss_steps
from gradlab.errors import GradlabError
from gradlab.inputs.choices import (
    check_pair,
    chosen_losses,
    output_folder,
)
from gradlab.inputs.loading import Inputs, load_inputs, score_inputs
from gradlab.inputs.progress import counting
from gradlab.inputs.reporting import prompt_frame, report, run_manifest
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.plotting import drift_figures, save_figure, waterfall_tokens
from gradlab.plotting.pairs import FIGURE_PAIRS
from gradlab.report import add_report, drop_report
from gradlab.tables import stage, write_manifest, write_table
from gradlab.types import Params

FILES = (
    "tokens.parquet", "pairs.csv", "summary.csv", "gram.parquet", "prompts.parquet",
    "manifest.json",
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


def drift(config: DriftConfig) -> Outcome:
    """Run one analysis and write its folder.

    Raises:
      GradlabError: any refused input; the folder is then as it was.
    """
    with output_folder(config, "drift") as folder:
        return _drift(config, folder)


def _drift(config: DriftConfig, folder: Path) -> Outcome:
    started = time.monotonic()
    console = Console(stderr=True)
    losses = chosen_losses(config.losses)
    build_optimiser(config)  # refused before anything is loaded
    with _precision(config):
        inputs = load_inputs(config, console)
        check_pair(config.pair, len(inputs.pairs))
        scored = score_inputs(inputs, losses, console)
        weighed = weigh(scored, losses, seed=config.seed)
        with stage(folder) as partial:
            found = _analyse(config, inputs, scored, weighed, console, partial)
            write_table(prompt_frame(inputs), partial / "prompts.parquet")
            gram = _gram(config, inputs, found, partial)
            figures = drift_figures(
                found.tokens, found.pairs, pair=config.pair, gram=gram
            )
            for name, figure in figures.items():
                save_figure(figure, partial / name)
            manifest = run_manifest(
                config,
                inputs,
                losses,
                command="gradlab drift",
                dtype=f"{config.precision} model, float64 token weights",
                seconds=time.monotonic() - started,
            )
            write_manifest(manifest, partial / "manifest.json")
            pages = add_report(partial, folder) if config.report else ()
    if not pages:
        drop_report(folder)
    files = (*FILES, *pages)
    report(console, summary_table(found.summary), folder, files, list(figures))
    return Outcome(folder, found.summary, found.pairs)


@dataclass(frozen=True)
class _Found:
    tokens: pd.DataFrame  # those that the figures show
    pairs: pd.DataFrame
    summary: pd.DataFrame


@contextlib.contextmanager
def _precision(config: DriftConfig) -> Iterator[None]:
    """The dtype of everything, and exact float32 products on an accelerator."""
    wide = config.precision == "float64"
    if wide and jax.default_backend() != "cpu":
        raise GradlabError(
            f"--precision float64 on {jax.default_backend()}; expected the CPU "
            "(JAX_PLATFORMS=cpu), or float32"
        )
    with jax.enable_x64(wide), jax.default_matmul_precision("highest"):
        yield


def _analyse(
    config: DriftConfig,
    inputs: Inputs,
    scored: ScoredPairs,
    weighed: Sequence[LossWeights],
    console: Console,
    folder: Path,
) -> _Found:
    """Takes the steps, and writes the tables as they come, loss by loss."""
    sides, pairs = _batches(config, inputs)
    mask = {side: getattr(scored, side).mask for side in SIDES}
    each = sum(map(len, sides.values()))
    total = each * (1 + PASSES_PER_LOSS * len(weighed))
    params = _cast(inputs.policy.params, config)
    with counting(console, "stepping", total, unit="batches") as advance:
        progress = _Ticker(advance)
        corpus = Corpus(inputs.policy.model, sides, pairs, mask, progress)
        likeness = corpus.hidden_likeness(params)
        scores = pair_scores(corpus, params)
        same = {side: getattr(scored, side).logps for side in SIDES}
        evaluations: list[Sides] = [same] if config.precision == "float32" else []
        steps = loss_steps(corpus, params, weighed, scores, config, evaluations)
        known = _pairs(inputs, scored, likeness, scores)
        marked = _marked(steps, progress, each)
        return _write(marked, weighed, inputs, scored, known, config, folder)


class _Ticker:
    """Counts batches; passes that a loss didn't need are counted when it is done."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance, self.done = advance, 0

    def __call__(self, batches: int) -> None:
        self.done += batches
        self.advance(batches)

    def reach(self, batches: int) -> None:
        if batches > self.done:
            self(batches - self.done)


def _marked(
    steps: Iterator[LossStep], progress: _Ticker, each: int
) -> Iterator[LossStep]:
    for number, step in enumerate(steps, 1):
        progress.reach(each * (1 + PASSES_PER_LOSS * number))
        yield step


def _batches(config: DriftConfig, inputs: Inputs):
    options = {"batch_size": config.batch_size, "max_shapes": config.max_shapes}
    sides = {side: list(batches(inputs.pairs, side, **options)) for side in SIDES}
    # Half the shapes: the passes over pairs are few, and the slowest to compile.
    options["max_shapes"] = max(1, config.max_shapes // 2)
    return sides, list(pair_batches(inputs.pairs, **options))


def _write(
    steps: Iterator[LossStep],
    weighed: Sequence[LossWeights],
    inputs: Inputs,
    scored: ScoredPairs,
    pairs: pd.DataFrame,
    config: DriftConfig,
    folder: Path,
) -> _Found:
    labels = [weights.loss.label for weights in weighed]
    tokens = token_frame(scored, regions_of(scored), inputs.tokenizer.token_texts)
    figured = (tokens["pair"] < FIGURE_PAIRS) | (tokens["pair"] == config.pair)
    shown, sums, rows, writer = [], [], [], None
    try:
        for step in steps:
            frame = with_step(tokens, scored, step, labels)
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if writer is None:
                path = folder / "tokens.parquet"
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            shown.append(frame[figured])
            sums.append(with_sums(pairs, step))
            rows.append(summary_row(sums[-1], step))
    finally:
        if writer is not None:
            writer.close()
    every, summary = pd.concat(sums, ignore_index=True), pd.DataFrame(rows)
    first = ["loss", "pair", "row", "value", "case"]
    every = every.reindex(
        columns=[*first, *every.columns.difference(first, sort=False)]
    )
    write_table(every, folder / "pairs.csv")
    write_table(summary, folder / "summary.csv")
    return _Found(pd.concat(shown, ignore_index=True), every, summary)


def _gram(
    config: DriftConfig, inputs: Inputs, found: _Found, folder: Path
) -> pd.DataFrame:
    """The token gradients of the pair in the waterfall, as far as it shows them."""
    shown = waterfall_tokens(found.tokens, found.pairs, pair=config.pair)
    pair = inputs.pairs[int(shown["pair"].iloc[0])]
    params = _cast(inputs.policy.params, config)
    gram = gram_frame(inputs.policy.model, params, pair, shown)
    write_table(gram, folder / "gram.parquet")
    return gram


def _pairs(
    inputs: Inputs,
    scored: ScoredPairs,
    likeness: Mapping[str, np.ndarray],
    scores: Scores,
) -> pd.DataFrame:
    texts = {
        side: [inputs.tokenizer.decode(getattr(pair, side)) for pair in inputs.pairs]
        for side in SIDES
    }
    return pair_frame(scored, edits_of(scored, texts), likeness, scores)


def _cast(params: Params, config: DriftConfig) -> Params:
    return jax.tree.map(lambda leaf: leaf.astype(config.precision), params)
