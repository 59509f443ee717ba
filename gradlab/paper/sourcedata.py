"""The rows that each figure of a run is drawn from, as journals ask for them."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab.errors import GradlabError
from gradlab.plotting import example_pair, waterfall_tokens
from gradlab.plotting.comparison import HEAT_LOSSES
from gradlab.plotting.drift import CHOSEN_DRIFTS, KEYS
from gradlab.plotting.falls import DRIFT_COLUMNS
from gradlab.plotting.lengths import PAIR_COLUMNS
from gradlab.plotting.pairs import (
    FIGURE_PAIRS,
    TOKEN_COLUMNS,
    contrasting_losses,
    loss_names,
)
from gradlab.tables import read_manifest, read_table, require_columns, select


@dataclass(frozen=True)
class _Run:
    """The tables of a run, read when a figure needs them."""

    folder: Path
    pair: int | None  # that the user chose for the figures

    @cached_property
    def summary(self) -> pd.DataFrame:
        return read_table(self.folder / "summary.csv")

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return read_table(self.folder / "pairs.csv")

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """Of those pairs that the figures show."""
        tokens = read_table(self.folder / "tokens.parquet")
        if self.pair is not None:
            shown = self.pair
        else:
            first = tokens["loss"].iloc[0]
            shown = example_pair(tokens.loc[tokens["loss"] == first])
        return tokens.loc[(tokens["pair"] < FIGURE_PAIRS) | (tokens["pair"] == shown)]

    @cached_property
    def example(self) -> pd.DataFrame:
        """The tokens of the pair that a comparison shows."""
        pair = example_pair(self.tokens) if self.pair is None else self.pair
        return select(self.tokens, pair=pair)

    @cached_property
    def unlike(self) -> list[str]:
        """The losses whose heat strips a comparison shows."""
        return contrasting_losses(self.example, loss_names(self.summary), HEAT_LOSSES)

    @cached_property
    def waterfall(self) -> pd.DataFrame:
        """The tokens of the pair and the loss that an analysis of drift shows."""
        return waterfall_tokens(self.tokens, self.pairs, pair=self.pair)


Rows = Callable[[_Run], pd.DataFrame]
MASSES = (
    "loss", "mass_chosen", "mass_rejected", "ratio_bad_good", "share_before",
    "share_at", "share_after",
)  # fmt: skip
PLACE = ("loss", "pair", "side", "position", "token")


def _of(rows: Rows, columns: Sequence[str]) -> Rows:
    def taken(run: _Run) -> pd.DataFrame:
        table = rows(run)
        require_columns(table, columns, f"{run.folder}: a table of the run")
        return table.loc[:, list(columns)]

    return taken


def _correlations(run: _Run) -> pd.DataFrame:
    """The rank correlations of a length analysis with their intervals."""
    names = [name for name in run.summary.columns if str(name).startswith("rho_")]
    return run.summary.loc[:, ["loss", *names]]


FIGURES: Mapping[str, Mapping[str, Rows]] = {
    "gradlab compare": {
        "mass": _of(lambda run: run.summary, MASSES),
        "token_weights": _of(lambda run: run.example, TOKEN_COLUMNS),
        "token_heat": _of(
            lambda run: select(run.example, loss=run.unlike), TOKEN_COLUMNS
        ),
        "penalty": _of(
            lambda run: select(run.tokens, side="rejected"), (*PLACE, "logp", "weight")
        ),
    },
    "gradlab drift": {
        "agreement": _of(lambda run: run.tokens, (*PLACE, "predicted", "realised")),
        "waterfall": _of(lambda run: run.waterfall, (*PLACE, "region", *DRIFT_COLUMNS)),
        "cases": _of(lambda run: run.pairs, ("loss", "pair", "case")),
        "buckets": _of(
            lambda run: run.pairs, ("loss", "pair", CHOSEN_DRIFTS[0], *KEYS)
        ),
        "gram": lambda run: read_table(run.folder / "gram.parquet"),
    },
    "gradlab length": {
        "weights": _of(lambda run: run.pairs, PAIR_COLUMNS),
        "correlations": _correlations,
        "maps": _of(lambda run: run.pairs, PAIR_COLUMNS),
    },
}


def source_data(folder: Path, figure: str) -> pd.DataFrame:
    """The rows that a figure of a run is drawn from.

    Args:
      folder: what `gradlab compare`, `drift` or `length` wrote.
      figure: its name, without the suffix.

    Raises:
      GradlabError: no such figure, or tables that are missing or incomplete.
    """
    manifest: dict[str, Any] = read_manifest(folder / "manifest.json")
    known = FIGURES.get(str(manifest.get("command")), {})
    if figure not in known:
        raise GradlabError(
            f"--figure {figure!r}: {folder} has no such figure; expected "
            + (", ".join(known) or "a run of gradlab compare, drift or length")
        )
    config = manifest.get("config")
    pair = config.get("pair") if isinstance(config, dict) else None
    run = _Run(folder, pair if isinstance(pair, int) else None)
    return known[figure](run).reset_index(drop=True)


def source_text(folder: Path, figure: str) -> str:
    """`source_data` as CSV; text is quoted, since a token may hold a line's end."""
    text = source_data(folder, figure).to_csv(
        index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
