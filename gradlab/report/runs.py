"""What a run left in its folder, read for the page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.report.config import MAX_PAIRS
from gradlab.report.quantities import QUANTITIES
from gradlab.report.training import read_curves, read_probed_tokens, step_summary
from gradlab.tables import (
    read_manifest,
    read_table,
    require_columns,
    require_numbers,
)

SIDES = ("chosen", "rejected")
KEYS = ("pair", "side", "position", "token_id", "token", "loss")
NEEDED = (*KEYS, "weight")


@dataclass(frozen=True)
class Run:
    """The results of one command.

    Attributes:
      name: of the folder, as the user gave it.
      tokens: rows of the tokens table, sorted by loss (in order of appearance), pair,
        side and position; all losses have the same tokens. No rows: nothing is known
        of tokens.
      losses: labels in that order.
      total: pairs in the run; the rows here may be those of fewer.
      summary: one row per loss; None without.
      prompts: pair -> its prompt; empty without.
      manifest: how the run came about.
      curves: what was followed over a training, see `read_curves`; None without. The
        run's "losses" are then the states of that one training: step 0, step 1, ...
    """

    name: str
    tokens: pd.DataFrame
    losses: list[str]
    total: int
    summary: pd.DataFrame | None = None
    prompts: dict[int, str] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    curves: pd.DataFrame | None = None

    @property
    def pairs(self) -> int:
        """How many pairs the tokens are of."""
        return len(np.unique(self.tokens["pair"].to_numpy())) if self.losses else 0


def read_run(
    folder: str | os.PathLike[str], *, name: str = "", max_pairs: int = MAX_PAIRS
) -> Run:
    """Reads the tables and the manifest of one run.

    Args:
      folder: what `gradlab compare`, `drift`, `length` or `train` wrote.
      name: shown for the run; the folder by default.
      max_pairs: only the first so many pairs are read.

    Raises:
      GradlabError: the folder holds no run, or tables that don't fit together.
    """
    folder = Path(folder)
    name = name or str(folder)
    if (folder / "metrics.jsonl").is_file():
        return _read_training(folder, name, max_pairs)
    if not (folder / "summary.csv").is_file():
        raise GradlabError(
            f"{folder}: no summary.csv or metrics.jsonl there; expected a folder that "
            "'gradlab compare', 'drift', 'length' or 'train' wrote"
        )
    manifest = read_manifest(folder / "manifest.json")
    summary = read_table(folder / "summary.csv")
    tokens, prompts = folder / "tokens.parquet", folder / "prompts.parquet"
    if not tokens.is_file():
        return _without_tokens(name, manifest, summary=summary)
    return make_run(
        # All losses of the first pairs, without the rest in memory.
        read_table(tokens, filters=[("pair", "<", max_pairs)]),
        name=name,
        summary=summary,
        prompts=_read_prompts(prompts) if prompts.is_file() else {},
        manifest=manifest,
        total=manifest.get("pairs"),
    )


def _read_training(folder: Path, name: str, max_pairs: int) -> Run:
    """A training, finished or not; with the texts of its probes where it has them."""
    curves = read_curves(folder)
    path = folder / "manifest.json"
    manifest = read_manifest(path) if path.is_file() else {"notes": "not finished"}
    summary = step_summary(folder)
    found = read_probed_tokens(folder)
    if found is None:
        return _without_tokens(name, manifest, summary=summary, curves=curves)
    tokens, prompts = found
    return make_run(
        tokens.loc[tokens["pair"] < max_pairs],
        needed=(*KEYS, "drift"),
        name=name,
        summary=summary,
        prompts=prompts,
        manifest=manifest,
        total=len(prompts),
        curves=curves,
    )


def _without_tokens(name: str, manifest: dict[str, Any], **known: Any) -> Run:
    total = manifest.get("pairs")
    return Run(
        name=name,
        tokens=pd.DataFrame(columns=list(KEYS)),
        losses=[],
        total=total if isinstance(total, int) else 0,
        manifest=manifest,
        **known,
    )


def _read_prompts(path: Path) -> dict[int, str]:
    table = read_table(path)
    require_columns(table, ("pair", "prompt"), str(path))
    require_numbers(table, ["pair"], str(path), whole=True)
    prompts = map(str, table["prompt"].tolist())
    return dict(zip(table["pair"].tolist(), prompts, strict=True))


def make_run(
    tokens: pd.DataFrame,
    *,
    needed: Sequence[str] = NEEDED,
    name: str = "",
    summary: pd.DataFrame | None = None,
    prompts: dict[int, str] | None = None,
    manifest: dict[str, Any] | None = None,
    total: Any = None,
    curves: pd.DataFrame | None = None,
) -> Run:
    """A run from its tables, checked and sorted.

    Args:
      tokens: a tokens table.
      needed: its columns.
      name: shown for the run.
      summary: one row per loss.
      prompts: pair -> text.
      manifest: see `gradlab.tables.build_manifest`.
      total: pairs in the whole run; those of `tokens` by default.
      curves: see `Run`.

    Raises:
      GradlabError: a column is missing, or the losses don't share their tokens.
    """
    where = f"{name}: the tokens table" if name else "the tokens table"
    require_columns(tokens, needed, where)
    if tokens.empty:
        raise GradlabError(f"{where} has no rows")
    whole = ("pair", "position", "token_id", "row")
    require_numbers(tokens, whole, where, whole=True)
    require_numbers(tokens, [quantity.key for quantity in QUANTITIES], where)
    code, losses = pd.factorize(tokens["loss"].astype(str).to_numpy())
    side = tokens["side"].astype(str).to_numpy()
    if unknown := sorted(set(side) - set(SIDES)):
        raise GradlabError(f"{where}: side {unknown[0]!r}; expected chosen or rejected")
    pair, position = tokens["pair"].to_numpy(), tokens["position"].to_numpy()
    order = np.lexsort([position, side, pair, code])
    keys = [tokens["token_id"].to_numpy(), position, side, pair]
    _check_grid([key[order] for key in keys], len(losses), where)
    pairs = len(np.unique(pair))
    return Run(
        name=name,
        tokens=tokens.iloc[order].reset_index(drop=True),
        losses=[str(label) for label in losses],
        total=max(total, pairs) if isinstance(total, int) else pairs,
        summary=summary,
        prompts=prompts or {},
        manifest=manifest or {},
        curves=curves,
    )


def _check_grid(keys: list[np.ndarray], losses: int, where: str) -> None:
    """Every loss has the same tokens, and positions count from 0 on both sides."""
    rows = len(keys[0])
    size = rows // losses
    if rows != size * losses or any(
        (key.reshape(losses, size) != key[:size]).any() for key in keys
    ):
        raise GradlabError(f"{where}: its losses differ in their tokens")
    _, position, side, pair = (key[:size] for key in keys)
    starts = np.flatnonzero(position == 0)
    responses = set(zip(pair[starts].tolist(), side[starts].tolist(), strict=True))
    begins = position[0] == 0 and len(responses) == len(starts)
    lengths = np.diff(np.append(starts, size))
    if not begins or (position != np.arange(size) - np.repeat(starts, lengths)).any():
        raise GradlabError(f"{where}: positions of a response don't count from 0 up")
    for number in np.unique(pair).tolist():
        if not {(number, side) for side in SIDES} <= responses:
            raise GradlabError(
                f"{where}: pair {number} lacks its chosen or rejected side"
            )
