"""What `gradlab train` followed on its way, read for the page: curves, probed texts."""

import json
import math
from operator import index
from pathlib import Path

import numpy as np
import pandas as pd

from gradlab.data import load_tokenizer
from gradlab.errors import GradlabError
from gradlab.report.columns import PROBED
from gradlab.tables import (
    read_table,
    require_columns,
    require_numbers,
    require_text,
    select,
)

PROBE_COLUMNS = ("step", "probe", "metric", "statistic", "value")
TOKEN_COLUMNS = ("step", "probe", "row", "position", "token_id", "logp", "drift")
SIDES = ("chosen", "rejected")
LARGEST_STEP = 2**53  # from which floats leave out whole numbers
POINTS = 500  # of a curve of metrics; longer ones are averaged
# What reading JSON of any content may end in.
NO_JSON = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
# statistic of probes.csv -> column of the curves
STATISTICS = {"mean": "value", "q10": "low", "q90": "high"}


def read_curves(folder: Path) -> pd.DataFrame:
    """The curves of a training.

    Args:
      folder: what `gradlab train` wrote, or is writing.

    Returns:
      Tidy: source ("probes" or "training"), quantity, series (the probe set, or the
      side of the batch), step, value, and for probes low and high (10 and 90 % of the
      texts, or the ends of a 95 % interval; NaN where they have none).

    Raises:
      GradlabError: a file that isn't what the training writes.
    """
    parts = [_metric_curves(folder / "metrics.jsonl")]
    if (folder / "answers.csv").is_file():
        parts.insert(0, _answer_curves(folder / "answers.csv"))
    if (folder / "probes.csv").is_file():
        parts.insert(0, _probe_curves(folder / "probes.csv"))
    return pd.concat(parts, ignore_index=True)


def _probe_table(path: Path) -> pd.DataFrame:
    table = read_table(path)
    require_columns(table, PROBE_COLUMNS, str(path))
    require_text(table, ("probe", "metric"), str(path))
    require_numbers(table, ["step"], str(path), whole=True)
    require_numbers(table, ["value"], str(path))
    return table


def _probe_curves(path: Path) -> pd.DataFrame:
    table = _probe_table(path)
    table = table[table["statistic"].isin(list(STATISTICS))]
    keys = ["metric", "probe", "step"]
    wide = table.pivot_table(
        index=keys, columns="statistic", values="value", sort=False, aggfunc="first"
    )
    wide = wide.reindex(columns=list(STATISTICS)).rename(columns=STATISTICS)
    names = {"metric": "quantity", "probe": "series"}
    return wide.reset_index().rename(columns=names).assign(source="probes")


def _answer_curves(path: Path) -> pd.DataFrame:
    table = read_table(path)
    require_columns(table, ("step", "metric", "share", "low", "high"), str(path))
    require_text(table, ("metric",), str(path))
    require_numbers(table, ["step"], str(path), whole=True)
    require_numbers(table, ["share", "low", "high"], str(path))
    table = table.rename(columns={"metric": "series", "share": "value"})
    kept = table[["series", "step", "value", "low", "high"]]
    return kept.assign(source="probes", quantity="answers")


def _metric_curves(path: Path) -> pd.DataFrame:
    """Keys such as logps_mean/chosen are a quantity and a series of it."""
    table = pd.DataFrame(_lines(path))
    if table.empty:
        return pd.DataFrame()
    twice = [f"logps/{side}" for side in SIDES if f"logps_sum/{side}" in table]
    table = table.drop(columns=twice, errors="ignore")
    if len(table) > POINTS:  # means of neighbours, at the last of their steps
        groups = np.arange(len(table)) * POINTS // len(table)
        parts = table.groupby(groups)
        table = pd.DataFrame(parts.mean()).assign(step=parts["step"].last())
    rows = []
    for key in table.columns.drop("step"):
        quantity, _, series = str(key).partition("/")
        kept = pd.DataFrame({"step": table["step"].astype(int), "value": table[key]})
        names = {"source": "training", "quantity": quantity}
        rows.append(kept.dropna().assign(**names, series=series or "training"))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _lines(path: Path) -> list[dict[str, float]]:
    found = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        try:  # a training under way may be in the middle of its last line
            found.append(_numbers(line))
        except NO_JSON as error:
            if not text.endswith("\n") and number == len(text.splitlines()):
                break
            raise GradlabError(
                f"{path}, line {number}: not a line of metrics: {line:.60}"
            ) from error
    return found


def _numbers(line: str) -> dict[str, float]:
    found = {key: float(value) for key, value in json.loads(line).items()}
    "".join(found).encode()  # a lone surrogate is a ValueError
    step = found.get("step", math.nan)
    if not (step.is_integer() and 0 <= step < LARGEST_STEP):
        raise ValueError("a line without a step")
    return found


def step_summary(folder: Path) -> pd.DataFrame | None:
    """One row per probed step: the means of `PROBED`, METRIC/SET; None without."""
    if not (folder / "probes.csv").is_file():
        return None
    table = _probe_table(folder / "probes.csv")
    metrics = list(PROBED)
    known = table["metric"].isin(metrics) & (table["statistic"] == "mean")
    order = table.loc[known, "metric"].map(metrics.index)
    table = table[known].assign(order=order)
    table = table.sort_values(["order", "step"], kind="stable")
    names = table["metric"].astype(str) + "/" + table["probe"].astype(str)
    wide = table.assign(name=names).pivot_table(
        index="step", columns="name", values="value", sort=False
    )
    wide = wide.sort_index()
    wide.columns = [str(name) for name in wide.columns]
    wide.insert(0, "loss", [f"step {step}" for step in wide.index])
    return wide.reset_index(drop=True)


def read_probed_tokens(folder: Path) -> tuple[pd.DataFrame, dict[int, str]] | None:
    """The chosen and rejected texts that a training followed, token by token.

    Returns:
      A tokens table whose "losses" are the steps, and the prompts by pair; None where
      the run kept no tokens, lacks one of the two sets, or saved no tokenizer.

    Raises:
      GradlabError: tables that a training doesn't write.
    """
    path, texts = folder / "probe_tokens.parquet", folder / "probes" / "texts.json"
    spelling = folder / "model" / "tokenizer.json"
    if not (path.is_file() and texts.is_file() and spelling.is_file()):
        return None
    tokens = read_table(path)
    require_columns(tokens, TOKEN_COLUMNS, str(path))
    require_numbers(tokens, ["step", "row", "position"], str(path), whole=True)
    tokens = select(tokens, probe=SIDES)
    kept = _texts(texts)
    rows = [row for row in kept["chosen"] if row in kept["rejected"]]
    if not rows or tokens.empty:
        return None
    spell = load_tokenizer(spelling)
    numbers = {row: number for number, row in enumerate(rows)}
    tokens = select(tokens, row=rows)
    words = {
        (side, row, position): text
        for side in SIDES
        for row in rows
        for position, text in enumerate(spell.token_texts(kept[side][row]["response"]))
    }
    places = list(zip(tokens["probe"], tokens["row"], tokens["position"], strict=True))
    if other := set(places) - set(words):
        side, row, position = min(other)
        raise GradlabError(
            f"{path}: position {position} of the {side} text of row {row} is not in "
            f"{texts}; expected the files of one run"
        )
    columns = {
        "pair": [numbers[row] for row in tokens["row"]],
        "side": tokens["probe"].astype(str),
        "token": [words[place] for place in places],
        "loss": "step " + tokens["step"].astype(str),
    }
    prompts = {
        n: spell.decode(kept["chosen"][row]["prompt"]) for row, n in numbers.items()
    }
    return tokens.assign(**columns), prompts


def _texts(path: Path) -> dict[str, dict[int, dict[str, list[int]]]]:
    """Side -> row -> ids of its prompt and response."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            side: {index(text["row"]): _ids(text) for text in found.get(side, ())}
            for side in SIDES
        }
    except NO_JSON as error:
        raise GradlabError(f"{path}: not the texts of probes: {error}") from error


def _ids(text: dict[str, list[int]]) -> dict[str, list[int]]:
    return {name: [index(i) for i in text[name]] for name in ("prompt", "response")}
