"""Where the scored pairs of a comparison come from: a model, or a table of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from rich.console import Console

from gradlab.comparison.config import DEFAULT_LOSSES, CompareConfig
from gradlab.comparison.frames import regions_of, token_frame
from gradlab.data import load_tokenizer
from gradlab.errors import GradlabError
from gradlab.inputs.choices import chosen_losses
from gradlab.inputs.config import check_seed
from gradlab.inputs.loading import load_inputs, score_inputs
from gradlab.inputs.progress import say
from gradlab.inputs.reporting import Provenance, prompt_frame
from gradlab.inputs.scored import SIDES, ScoredPairs, ScoredSide
from gradlab.inputs.token_table import TokenTable, read_token_table
from gradlab.losses import BoundLoss
from gradlab.measures import PairRegions

# statistic of a scored side -> column of a table of tokens
COLUMNS = {
    "logps": "logp",
    "ref_logps": "ref_logp",
    "entropy": "entropy",
    "log_sum_sq": "log_sum_sq",
    "max_logp": "max_logp",
}
# field of `PairLogps` -> what a file has to bring along
FROM_FILE = {
    "ref_chosen": ("ref_logps", "the column ref_logp"),
    "chosen_logsumsq": ("log_sum_sq", "the column log_sum_sq"),
    "kl_logratios": ("", "a model, which scores prompts with other pairs' responses"),
}


@dataclass(frozen=True)
class Source:
    """Everything that a comparison looks at.

    Attributes:
      scored: the pairs.
      losses: those that are compared.
      regions: the partition of every pair.
      tokens: what is known of every token, from `token_frame`.
      prompts: one row per pair: pair, row, prompt.
      origin: for the manifest.
      dtype: of the scores.
    """

    scored: ScoredPairs
    losses: list[BoundLoss]
    regions: list[PairRegions]
    tokens: pd.DataFrame
    prompts: pd.DataFrame
    origin: Provenance
    dtype: str


@dataclass(frozen=True)
class GivenScores:
    """Where given log-probabilities come from; see `Provenance`."""

    pairs: range
    digest: str
    notes: list[str]
    policy_name: str
    reference_name: str


def read_source(config: CompareConfig, console: Console) -> Source:
    """Loads and scores, or reads what is scored already.

    Raises:
      GradlabError: any refused input.
    """
    losses = chosen_losses(config.losses)
    if config.logps is not None:
        return _given(config, losses, console)
    if config.step is not None:
        raise GradlabError("--step chooses from the table that --logps names")
    inputs = load_inputs(config, console)
    scored = score_inputs(inputs, losses, console)
    regions = regions_of(scored)
    return Source(
        scored=scored,
        losses=losses,
        regions=regions,
        tokens=token_frame(scored, regions, inputs.tokenizer.token_texts),
        prompts=prompt_frame(inputs),
        origin=inputs,
        dtype="float32 scores, float64 weights",
    )


def _given(
    config: CompareConfig, losses: Sequence[BoundLoss], console: Console
) -> Source:
    _check_options(config)
    table = read_token_table(config.logps or "", step=config.step, limit=config.limit)
    scored = scored_pairs(table.rows)
    kept, notes = _possible(losses, scored, table, config.losses)
    notes = [*table.notes, *notes]
    for note in notes:
        say(console, note)
    regions = regions_of(scored)
    tokens = _with_texts(scored, regions, table, config.tokenizer)
    origin = GivenScores(
        range(len(scored.rows)),
        table.digest,
        notes,
        f"{table.source} (log-probabilities as given)",
        "none" if "ref_logps" in scored.unknown else table.reference,
    )
    dtype = f"{scored.chosen.logps.dtype} scores as given, float64 weights"
    return Source(scored, kept, regions, tokens, table.prompts, origin, dtype)


def _check_options(config: CompareConfig) -> None:
    """Refuses what means nothing beside given log-probabilities."""
    for option in ("model", "reference", "data"):
        if getattr(config, option) is not None:
            raise GradlabError(
                f"--logps and --{option}: the log-probabilities are known already; "
                "expected one of the two"
            )
    plain = CompareConfig()
    for option in ("on_bad_row", "max_length", "truncation", "append_eos"):
        if getattr(config, option) != getattr(plain, option):
            name = option.replace("_", "-")
            raise GradlabError(
                f"--logps and --{name}: that is a setting of reading and tokenizing "
                "pairs; expected none beside log-probabilities"
            )
    check_seed(config.seed)
    if config.limit is not None and config.limit < 1:
        raise GradlabError(f"--limit is {config.limit}; expected at least 1")


def _with_texts(
    scored: ScoredPairs,
    regions: Sequence[PairRegions],
    table: TokenTable,
    tokenizer: str | None,
) -> pd.DataFrame:
    """The tokens with their texts from the table, or decoded from their ids."""
    if tokenizer is not None:
        return token_frame(scored, regions, load_tokenizer(tokenizer).token_texts)
    tokens = token_frame(scored, regions, lambda ids: [""] * len(ids))
    return tokens.assign(token=pd.Categorical(table.rows["token"]))


def scored_pairs(rows: pd.DataFrame) -> ScoredPairs:
    """Rows of a `TokenTable` as arrays, padded on the right.

    Args:
      rows: sorted by side, pair and position.
    """
    count = len(set(rows["pair"]))
    sides = [_side(rows.loc[rows["side"] == side], count) for side in SIDES]
    first = rows.loc[(rows["side"] == SIDES[0]) & (rows["position"] == 0)]
    unknown = (name for name, column in COLUMNS.items() if column not in rows)
    return ScoredPairs(*sides, rows=first["row"].to_numpy(), unknown=frozenset(unknown))


def _side(rows: pd.DataFrame, count: int) -> ScoredSide:
    pair, position = rows["pair"].to_numpy(), rows["position"].to_numpy()
    mask = np.zeros((count, int(position.max()) + 1), bool)
    mask[pair, position] = True
    arrays: dict[str, np.ndarray] = {}
    for field in fields(ScoredSide):
        column = COLUMNS.get(field.name, "")
        if column in rows:
            values = rows[column].to_numpy()
            arrays[field.name] = np.zeros(mask.shape, values.dtype)
            arrays[field.name][mask] = values
        else:
            arrays[field.name] = np.full(mask.shape, np.nan, np.float32)
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = rows["token_id"].to_numpy()
    return ScoredSide(**arrays | {"ids": ids, "mask": mask, "argmax": 0 * ids})


def _possible(
    losses: Sequence[BoundLoss], scored: ScoredPairs, table: TokenTable, asked: str
) -> tuple[list[BoundLoss], list[str]]:
    """The losses that the table suffices for, and a line about the others.

    Raises:
      GradlabError: a loss that was named, or every loss, needs more.
    """
    kept, left_out = [], []
    for loss in losses:
        lacking = [
            what
            for field, (statistic, what) in FROM_FILE.items()
            if field in loss.needs_fields
            and (not statistic or statistic in scored.unknown)
        ]
        if not lacking:
            kept.append(loss)
            continue
        fault = f"loss '{loss.label}' needs {' and '.join(lacking)}"
        if asked.strip() not in ("all", DEFAULT_LOSSES):
            raise GradlabError(f"{table.source}: {fault}, which is not there")
        left_out.append(f"{loss.label} left out: it needs {' and '.join(lacking)}")
    if not kept:
        raise GradlabError(f"{table.source}: no loss does without: {left_out[0]}")
    return kept, left_out
