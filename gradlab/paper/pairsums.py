"""The quantities of a summary as ratios of sums over pairs: so pairs can be drawn.

Every mean, share and ratio of a summary is sum_n a_n / sum_n b_n with one a and one b
for each pair and loss; correlations and errors of whole tables are not, and have no
entry here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.tables import (
    read_table,
    require_columns,
    require_numbers,
    require_text,
)

SIDES = ("chosen", "rejected")
# where a token lies -> its regions
PARTS = {"before": ("prefix",), "at": ("first",), "after": ("middle", "suffix")}
CASES = {"ideal": "ideal", "both_fall": "both fall", "both_rise": "both rise"}


@dataclass(frozen=True)
class Ratio:
    """One quantity of all losses.

    Attributes:
      above: [L, N] numerators.
      below: [L, N] denominators.
    """

    above: np.ndarray
    below: np.ndarray

    def values(self, counts: np.ndarray) -> np.ndarray:
        """[L, draws] of the ratio where pair n occurs counts[d, n] times."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.above @ counts.T) / (self.below @ counts.T)


def pair_sums(folder: Path, losses: list[str]) -> dict[str, Ratio]:
    """Column of summary.csv -> its ratio, for those columns that are one.

    Args:
      folder: of a comparison or a drift analysis.
      losses: labels, in the order of rows.

    Raises:
      GradlabError: the tables of the folder don't fit together.
    """
    if not (folder / "pairs.csv").is_file():
        return _of_comparison(folder / "tokens.parquet", losses)
    pairs = read_table(folder / "pairs.csv")
    # `gradlab length` puts intervals of its own into the summary.
    return _of_drift(pairs, losses, folder) if "case" in pairs else {}


def _of_comparison(path: Path, losses: list[str]) -> dict[str, Ratio]:
    if not path.is_file():
        raise GradlabError(f"{path}: no such file; expected the tokens of a comparison")
    names = ["loss", "pair", "side", "region", "weight"]
    tokens = read_table(path)
    require_columns(tokens, names, str(path))
    require_text(tokens, ["loss", "side", "region"], str(path))
    require_numbers(tokens, ["weight"], str(path))
    require_numbers(tokens, ["pair"], str(path), whole=True)
    if unknown := set(map(str, tokens["side"])) ^ set(SIDES):
        raise GradlabError(f"{path}: side {min(unknown)!r}; expected chosen, rejected")
    tokens = tokens[names].assign(weight=tokens["weight"].abs())

    def sums(column: str) -> dict[str, np.ndarray]:
        found = tokens.pivot_table(
            index=["loss", "pair"], columns=column, values="weight", aggfunc="sum",
            fill_value=0.0, observed=False,
        )  # fmt: skip
        return {str(name): _square(found[name], losses, path) for name in found.columns}

    sides, regions = sums("side"), sums("region")
    one = np.ones_like(sides["chosen"])
    whole = sides["chosen"] + sides["rejected"]
    ratios = {f"mass_{side}": Ratio(sides[side], one) for side in SIDES}
    ratios["ratio_bad_good"] = Ratio(sides["rejected"], sides["chosen"])
    for part, names in PARTS.items():
        inside = sum((regions[name] for name in names if name in regions), 0 * one)
        ratios[f"share_{part}"] = Ratio(inside, whole)
    return ratios


def _of_drift(pairs: pd.DataFrame, losses: list[str], folder: Path) -> dict[str, Ratio]:
    path = folder / "pairs.csv"
    needed = ["value", "predicted_chosen", "realised_chosen"]
    require_columns(pairs, ["loss", "pair", "case", *needed], str(path))
    numbers = [str(name) for name in pairs.columns if str(name).endswith(SIDES)]
    require_numbers(pairs, [*needed, *numbers], str(path))
    if pairs.duplicated(["loss", "pair"]).any():
        raise GradlabError(f"{path}: a loss has a pair twice; expected one row of each")
    pairs = pairs.set_index(["loss", "pair"])
    chosen = pairs["predicted_chosen"]
    columns: dict[str, Any] = {
        "value": pairs["value"],
        "share_falls": (chosen < 0).astype(float),
    }
    columns |= {
        str(name): pairs[name]
        for name in pairs.columns
        if str(name).endswith(SIDES) and not str(name).startswith(("kappa", "score"))
    }
    columns["realised_falls"] = (pairs["realised_chosen"] < 0).astype(float)
    known = pairs["case"].fillna("") != ""
    for name, case in CASES.items():
        columns[name] = (pairs["case"] == case).where(known).astype(float)
    found = {
        name: _square(values, losses, path)
        for name, values in columns.items()
        if bool(values.notna().any())
    }
    return {name: Ratio(values, np.ones_like(values)) for name, values in found.items()}


def _square(values: Any, losses: list[str], path: Path) -> np.ndarray:
    """[L, N] from a series indexed by loss and pair."""
    table = values.unstack("pair")
    missing = [loss for loss in losses if loss not in table.index]
    if missing:
        raise GradlabError(f"{path}: no rows of the loss '{missing[0]}' of summary.csv")
    return table.loc[losses].to_numpy(float)
