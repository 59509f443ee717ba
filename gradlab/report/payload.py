"""A run as the JSON that the page's script reads.

Text is stored once and tokens refer to it by number; numbers are packed (see
`gradlab.report.packing`), one block per loss and quantity, so that the page unpacks
only what it shows. Each block ends in the sums over responses: those of the chosen
sides of all pairs, then of the rejected ones.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

from gradlab.report.columns import summary_columns
from gradlab.report.curves import curves_payload
from gradlab.report.packing import (
    DIGITS,
    Blocks,
    decimal_ranks,
    pack_ints,
    plain_number,
)
from gradlab.report.quantities import QUANTITIES, Quantity
from gradlab.report.runs import SIDES, Run

SMALL = 0.05  # quantile of magnitudes at which a scale turns logarithmic


def run_payload(run: Run, *, digits: int = DIGITS[0]) -> dict[str, Any]:
    """Everything that the page shows of one run, as plain JSON values.

    Args:
      run: from `read_run`.
      digits: significant ones of every token's numbers.
    """
    shown = {
        "name": run.name,
        "total": run.total,
        "manifest": run.manifest,
        "summary": None if run.summary is None else _summary(run.summary),
        "curves": [] if run.curves is None else curves_payload(run.curves),
        "rows": "loss" if run.curves is None else "step",
        "digits": digits,
        "pairs": {"number": []},
        "losses": [],
        "quantities": [],
    }
    if not run.losses:
        return shown
    size = len(run.tokens) // len(run.losses)
    tokens = run.tokens.iloc[:size]
    return {
        **shown,
        "pairs": _pairs(run, tokens),
        "tokens": _texts(tokens),
        **_numbers(run, _known(run), size, digits),
    }


def _known(run: Run) -> list[Quantity]:
    """Those that the run holds; where its losses are steps, each step has its own."""
    known = [q for q in QUANTITIES if q.key in run.tokens.columns]
    if run.curves is None:
        return known
    return [replace(q, each_loss=True) for q in known]


def _summary(summary: pd.DataFrame) -> dict[str, Any]:
    cells = [
        [plain_number(value) for value in row]
        for row in summary.itertuples(index=False, name=None)
    ]
    return {"columns": summary_columns(summary), "rows": cells}


def _texts(tokens: pd.DataFrame) -> dict[str, Any]:
    """The different tokens, each with its text and id, and which one stands where."""
    here = pd.MultiIndex.from_arrays([tokens["token"].astype(str), tokens["token_id"]])
    which, kinds = pd.factorize(here)
    return {
        "texts": [str(text) for text, _ in kinds],
        "ids": [int(number) for _, number in kinds],
        "which": pack_ints(which),
    }


def _pairs(run: Run, tokens: pd.DataFrame) -> dict[str, Any]:
    """Number, source row, prompt, lengths, first difference, edit distance."""
    pair, ids = tokens["pair"].to_numpy(), tokens["token_id"].to_numpy()
    starts = np.flatnonzero(tokens["position"].to_numpy() == 0)
    responses = [part.tolist() for part in np.split(ids, starts[1:])]
    both = list(zip(responses[::2], responses[1::2], strict=True))
    numbers = [int(number) for number in pair[starts[::2]]]
    rows = tokens["row"].to_numpy()[starts[::2]].tolist() if "row" in tokens else None
    return {
        "number": numbers,
        "row": rows,
        "prompt": [run.prompts.get(number, "") for number in numbers],
        "lengths": {
            side: [len(one[n]) for one in both] for n, side in enumerate(SIDES)
        },
        "first": [_shared(one, two) for one, two in both],
        "edit": [Levenshtein.normalized_distance(one, two) for one, two in both],
    }


def _shared(one: list[int], two: list[int]) -> int:
    """Tokens before the first difference."""
    matches = [a == b for a, b in zip(one, two, strict=False)]
    return matches.index(False) if False in matches else len(matches)


def _numbers(run: Run, known: list[Quantity], size: int, digits: int) -> dict[str, Any]:
    values = {
        q.key: run.tokens[q.key].to_numpy(np.float64).reshape(-1, size) for q in known
    }
    known = [q for q in known if _tells(values[q.key])]
    first = run.tokens.iloc[:size]
    side = (first["side"].astype(str).to_numpy() == SIDES[1]).astype(int)
    _, pair = np.unique(first["pair"].to_numpy(), return_inverse=True)
    response = side * run.pairs + pair
    blocks, columns = Blocks(), {q.key: [] for q in known}

    def home(row: int, each_loss: bool) -> dict[str, Any]:
        kept, mine = [q.key for q in known if q.each_loss == each_loss], {}
        for key in kept:
            ranks = decimal_ranks(_with_sums(values[key][row], response), digits)
            mine[key] = blocks.add(ranks, [*mine.values(), *columns[key]])
            columns[key].append(mine[key])
        scales = {key: _scale(values[key][row]) for key in kept}
        return {"blocks": mine, "scales": scales}

    return {
        "quantities": [vars(q) for q in known],
        "losses": [
            {"label": label, **home(row, True)} for row, label in enumerate(run.losses)
        ],
        "fixed": home(0, False),
        "blocks": blocks.packed,
        "scales": {q.key: _scale(values[q.key]) for q in known},
    }


def _tells(values: np.ndarray) -> bool:
    """A column without numbers, or of zeros only, is none that one could look at."""
    return bool(np.any(~np.isnan(values) & (values != 0)))


def _with_sums(values: np.ndarray, response: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.bincount(response, values)])


def _scale(values: np.ndarray) -> list[float]:
    """Largest and small magnitude, from which the page makes a colour scale."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size:
        return [0.0, 0.0]
    return [float(sizes.max()), float(np.quantile(sizes, SMALL))]
