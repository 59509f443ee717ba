"""What a run left in its folder, read for the page.

A later kind of table (probe sets during training, say) is one more field of `Run`, one
more entry of `gradlab.report.payload.run_payload`, and one more part of the page.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.report.config import MAX_PAIRS
from gradlab.report.quantities import QUANTITIES
from gradlab.tables import (
    read_manifest,
    read_table,
    require_columns,
    require_numbers,
)

SIDES = ("chosen", "rejected")
NEEDED = ("pair", "side", "position", "token_id", "token", "loss", "weight")


@dataclass(frozen=True)
class Run:
    """The results of one command.

    Attributes:
      name: of the folder, as the user gave it.
      tokens: rows of the tokens table, sorted by loss (in order of appearance), pair,
        side and position; all losses have the same tokens.
      losses: labels in that order.
      total: pairs in the run; the rows here may be those of fewer.
      summary: one row per loss; None without.
      prompts: pair -> its prompt; empty without.
      manifest: how the run came about.
    """

    name: str
    tokens: pd.DataFrame
    losses: list[str]
    total: int
    summary: pd.DataFrame | None = None
    prompts: dict[int, str] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """How many pairs the tokens are of."""
        return len(np.unique(self.tokens["pair"].to_numpy()))


def read_run(
    folder: str | os.PathLike[str], *, name: str = "", max_pairs: int = MAX_PAIRS
) -> Run:
    """Reads the tables and the manifest of one run.

    Args:
      folder: what `gradlab compare` or `gradlab drift` wrote.
      name: shown for the run; the folder by default.
      max_pairs: only the first so many pairs are read.

    Raises:
      GradlabError: the folder holds no run, or tables that don't fit together.
    """
    folder = Path(folder)
    if not (folder / "tokens.parquet").is_file():
        raise GradlabError(
            f"{folder}: no tokens.parquet there; expected a folder that 'gradlab "
            "compare' or 'gradlab drift' wrote"
        )
    tokens = _read_tokens(folder / "tokens.parquet", max_pairs)
    manifest = read_manifest(folder / "manifest.json")
    prompts = folder / "prompts.parquet"
    return make_run(
        tokens,
        name=name or str(folder),
        summary=read_table(folder / "summary.csv"),
        prompts=_read_prompts(prompts) if prompts.is_file() else {},
        manifest=manifest,
        total=manifest.get("pairs"),
    )


def _read_tokens(path: Path, max_pairs: int) -> pd.DataFrame:
    try:  # all losses of the first pairs, without the rest in memory
        return pd.read_parquet(path, filters=[("pair", "<", max_pairs)])
    except Exception as error:  # the parser meets untrusted bytes with any exception
        raise GradlabError(f"{path}: not a readable tokens table: {error}") from error


def _read_prompts(path: Path) -> dict[int, str]:
    table = read_table(path)
    require_columns(table, ("pair", "prompt"), str(path))
    require_numbers(table, ["pair"], str(path), whole=True)
    prompts = map(str, table["prompt"].tolist())
    return dict(zip(table["pair"].tolist(), prompts, strict=True))


def make_run(
    tokens: pd.DataFrame,
    *,
    name: str = "",
    summary: pd.DataFrame | None = None,
    prompts: dict[int, str] | None = None,
    manifest: dict[str, Any] | None = None,
    total: Any = None,
) -> Run:
    """A run from its tables, checked and sorted.

    Args:
      tokens: a tokens table with the columns `NEEDED`.
      name: shown for the run.
      summary: one row per loss.
      prompts: pair -> text.
      manifest: see `gradlab.tables.build_manifest`.
      total: pairs in the whole run; those of `tokens` by default.

    Raises:
      GradlabError: a column is missing, or the losses don't share their tokens.
    """
    where = f"{name}: the tokens table" if name else "the tokens table"
    require_columns(tokens, NEEDED, where)
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
