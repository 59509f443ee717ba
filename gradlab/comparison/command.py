"""What `gradlab compare` does: load, score, weigh, write, say where it all went."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from gradlab.comparison.config import CompareConfig
from gradlab.comparison.frames import regions_of, summary_frame, token_frame, with_loss
from gradlab.comparison.inputs import Inputs, load_inputs
from gradlab.comparison.printing import TABLE_WIDTH, summary_table
from gradlab.comparison.progress import counting
from gradlab.comparison.scored import ScoredPairs
from gradlab.comparison.scoring import passes, score_pairs
from gradlab.comparison.weighing import LossWeights, weigh
from gradlab.errors import GradlabError
from gradlab.losses import LOSSES, BoundLoss, resolve
from gradlab.losses.resolve import split_outside
from gradlab.plotting import comparison_figures, example_pair, save_figure
from gradlab.tables import build_manifest, stage, write_manifest, write_table

# The penalty curves need a scatter of many tokens, not all of them.
FIGURE_PAIRS = 200


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
    folder = output_folder(config)
    inputs = load_inputs(config, console)
    mismatched = any("kl_logratios" in loss.needs_fields for loss in losses)
    total = passes(
        inputs.policy, inputs.reference, len(inputs.pairs), mismatched=mismatched
    )
    with counting(console, "scoring", total, unit="sequences") as progress:
        scored = score_pairs(
            inputs.policy,
            inputs.pairs,
            inputs.reference,
            mismatched=mismatched,
            progress=progress,
        )
    weighed = weigh(scored, losses, seed=config.seed)
    regions = regions_of(scored)
    summary = summary_frame(scored, regions, weighed)
    tokens = token_frame(scored, regions, inputs.tokenizer.token_texts)
    with stage(folder) as partial:
        shown = _write_tokens(
            partial / "tokens.parquet", tokens, scored, weighed, config
        )
        write_table(summary, partial / "summary.csv")
        figures = comparison_figures(shown, summary, pair=config.pair)
        for name, figure in figures.items():
            save_figure(figure, partial / name)
        manifest = _manifest(config, inputs, losses, time.monotonic() - started)
        write_manifest(manifest, partial / "manifest.json")
    _report(console, folder, summary, figures)
    return Outcome(folder, summary)


def chosen_losses(text: str) -> list[BoundLoss]:
    """The losses that a comma-separated list, or "all", names.

    Raises:
      GradlabError: an unknown or repeated loss, or none at all.
    """
    if text.strip() == "all":
        return [resolve(name) for name in LOSSES if not LOSSES[name].required]
    specs = [spec.strip() for spec in split_outside(text, ",") if spec.strip()]
    if not specs:
        raise GradlabError(f"--losses {text!r} names no loss; expected e.g. dpo,ipo")
    losses = [resolve(spec) for spec in specs]
    labels = [loss.label for loss in losses]
    repeated = next((x for x in labels if labels.count(x) > 1), None)
    if repeated is not None:
        raise GradlabError(f"--losses names '{repeated}' twice")
    return losses


def output_folder(config: CompareConfig) -> Path:
    """Where the results go; an earlier result is replaced only on request."""
    if config.out is None:
        runs = Path("runs")
        return next(
            folder
            for number in range(1, 10**6)
            if not (folder := runs / f"compare-{number}").exists()
        )
    if config.out.is_dir() and any(config.out.iterdir()) and not config.overwrite:
        raise GradlabError(
            f"--out {config.out} holds files already; expected a new or empty folder "
            "(--overwrite replaces an earlier comparison)"
        )
    return config.out


def _write_tokens(
    path: Path,
    tokens: pd.DataFrame,
    scored: ScoredPairs,
    weighed: Sequence[LossWeights],
    config: CompareConfig,
) -> pd.DataFrame:
    """Write the tokens table loss by loss; returns the rows that the figures show.

    One row group per loss: memory stays that of one loss however many there are.
    """
    labels = [weights.loss.label for weights in weighed]
    first = with_loss(tokens, scored, weighed[0], labels)
    if config.pair is None:
        pair = example_pair(first)
    elif 0 <= config.pair < len(scored.rows):
        pair = config.pair
    else:
        raise GradlabError(
            f"--pair {config.pair} does not exist; expected 0 to {len(scored.rows) - 1}"
        )
    figured = (tokens["pair"] < FIGURE_PAIRS) | (tokens["pair"] == pair)
    shown = []
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for weights in weighed:
            rows = with_loss(tokens, scored, weights, labels)
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
            shown.append(rows[figured])
    return pd.concat(shown, ignore_index=True)


def _manifest(
    config: CompareConfig, inputs: Inputs, losses: Sequence[BoundLoss], seconds: float
) -> dict:
    return build_manifest(
        config=config,
        seed=config.seed,
        dtype="float32 scores, float64 weights",
        device=jax.devices()[0].device_kind,
        data_digest=inputs.digest,
        wall_seconds=round(seconds, 2),
        command="gradlab compare",
        losses={loss.label: _settings(loss) for loss in losses},
        pairs=len(inputs.pairs),
        notes=inputs.notes,
        policy=inputs.policy_name,
        reference=inputs.reference_name,
    )


def _settings(loss: BoundLoss) -> dict:
    """Every hyperparameter of a loss, defaults included."""
    defaults = loss.info.defaults if loss.info else {}
    return {k: v for k, v in (defaults | loss.hyper).items() if not callable(v)}


def _report(
    console: Console, folder: Path, summary: pd.DataFrame, figures: dict
) -> None:
    out = Console()
    if not out.is_terminal:
        out.width = TABLE_WIDTH  # a file has no width: never cut the numbers there
    out.print(summary_table(summary))
    files = ["tokens.parquet", "summary.csv", "manifest.json"]
    files += [f"{name}.pdf, {name}.png" for name in figures]
    console.print(f"Wrote into {folder}:", highlight=False, markup=False)
    for name in files:
        console.print(f"  {name}", highlight=False, markup=False)
