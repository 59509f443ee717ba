"""From the study's table to the verdicts on its claims, and nothing but the table."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader, columns, falls
from analyses.preference_pipeline.cells import FORMS, form_on
from analyses.preference_pipeline.config import Base, Config
from analyses.preference_pipeline.ledger_of_claims import CLAIMS
from analyses.preference_pipeline.linear import BASES
from analyses.preference_pipeline.selection_verdicts import SELECTION_PARTS
from analyses.preference_pipeline.utility_verdicts import (
    LABELS,
    UTILITY_PARTS,
    at_end,
    sweep,
)
from gradlab.tables import claims_table, rank_correlation

Rows = Iterator[dict[str, Any]]


def _likelihood_term(reader: Reader) -> Rows:
    limit = _largest_threshold(reader, "mle", 0.0)
    for share in reader.config.runs.gammas:
        loss = f"dpo + {share * reader.config.runs.beta / 2:g}*mle"
        fallen = at_end(reader, "fallen", loss=loss, part="control")
        note = f"gamma is {share:g} of DPO's own weight; {limit}"
        yield reader.judge("S3.4", loss, [0.01 - x for x in fallen], note=note)


def _largest_threshold(reader: Reader, loss: str, delta: float) -> str:
    """What would have been needed at the worst step, over seeds."""
    found = reader.by_seed("threshold", loss=loss, delta=delta)
    found = [values.max() for values in found]
    if not found:
        return ""
    return f"first-order threshold {min(found):.2g} to {max(found):.2g} of the unit"


def _compliance(reader: Reader) -> Rows:
    runs = reader.config.runs
    for base, form in itertools.product((None, *runs.other_bases), FORMS):
        part, label = ("plane" if base else "delta"), form_on(form, base)
        free = at_end(reader, "drop_q95", loss=_alone(base), part=part)
        for delta in runs.plane_deltas if base else filter(None, runs.deltas):
            setting, limit = f"{label}, delta {delta:g}", 1.1 * delta
            if free and np.mean(free) <= limit:
                name = base.spec if base else "DPO"
                reason = f"{name} itself stays within it: {np.mean(free):.3g} nats"
                yield reader.undecided("S3.5", setting, "not testable", reason)
                continue
            own = at_end(
                reader, "drop_q95", loss=label, part=part, delta=delta,
                strength=runs.strength,
            )  # fmt: skip
            contrasts = {
                "budget holds": [limit - x for x in own],
                "DPO exceeds it" if base is None else "base exceeds it": [
                    x - limit for x in free
                ],
            }
            yield reader.judge("S3.5", setting, contrasts)


def _alone(base: Base | None) -> str:
    """Label of a base without a budget; None is DPO."""
    return base.spec if base else "dpo"


def _linear(reader: Reader) -> Rows:
    for name, form in itertools.product(BASES, ("outside", "inside")):
        setting = f"{form} form" + (f" on {name}" if name != "dpo" else "")
        found = reader.by_seed("transition", part="linear", scheme=name, loss=form)
        yield reader.judge("S3.7a", setting, [_worst(np.log(x)) for x in found])


def _worst(errors: np.ndarray) -> float:
    """The one farthest from 0, with its sign."""
    return float(errors[np.abs(errors).argmax()])


def _strengths(reader: Reader) -> Rows:
    runs = reader.config.runs
    for form in FORMS:
        yield _weakening(reader, form, None, "lambda", runs.delta, runs.strengths)
    for base, form, delta in itertools.product(
        runs.other_bases, FORMS, runs.plane_deltas
    ):
        yield _weakening(reader, form, base, "plane", delta, runs.plane_strengths)


def _weakening(
    reader: Reader,
    form: str,
    base: Base | None,
    part: str,
    delta: float,
    strengths: Sequence[float],
) -> dict[str, Any]:
    """Whether the fall sinks as lambda grows from 0, which is the base."""
    label = form_on(form, base)
    alone = "plane" if base else "delta"
    drops = [at_end(reader, "drop_q95", part=alone, loss=_alone(base))]
    for strength in strengths:
        keys = {"part": part, "loss": label, "delta": delta, "strength": strength}
        drops.append(at_end(reader, "drop_q95", **keys))
    by_seed = [np.array(one) for one in zip(*drops, strict=True)]
    samples = columns([np.array([0.0, *strengths])] * len(by_seed), falls(by_seed))
    limit = _largest_threshold(reader, label, delta)
    note = f"over {1 + len(strengths)} strengths" + (f"; {limit}" if limit else "")
    return reader.judge(
        "S3.7b", f"{label}, delta {delta:g}", samples, statistic=rank_correlation,
        note=note,
    )  # fmt: skip


def quadratic(points: np.ndarray) -> tuple[float, bool, float]:
    """Curvature of the fit, whether its vertex is inside, and AIC(line) - AIC.

    Args:
      points: [n, 2] of x and y; NaN, False, NaN where fewer than four x differ.
    """
    x, y = points.T
    if len(np.unique(x)) < 4:
        return np.nan, False, np.nan
    centre, scale = x.mean(), np.ptp(x)
    z = (x - centre) / scale
    aic = []
    for degree in (1, 2):
        fit = np.polyfit(z, y, degree)
        rss = max(float(((np.polyval(fit, z) - y) ** 2).sum()), 1e-300)
        aic.append(len(x) * np.log(rss / len(x)) + 2 * (degree + 2))
    curve, slope, _ = fit
    vertex = -slope / (2 * curve) if curve else np.inf
    return float(curve), bool(z.min() < vertex < z.max()), float(aic[0] - aic[1])


def _quadratic(reader: Reader) -> Rows:
    for setting, forms in (*((f, (f,)) for f in LABELS), ("both forms", LABELS)):
        cells = [keys for form in forms for keys in sweep(reader, form).values()]
        # Both forms have the run without a budget in common.
        cells = [dict(keys) for keys in dict.fromkeys(tuple(k.items()) for k in cells)]
        drift = [falls(_arrays(at_end(reader, "drop_mean", **keys))) for keys in cells]
        wins = [_arrays(at_end(reader, "win_rate", **keys)) for keys in cells]
        seeds = min(map(len, [*drift, *wins]))
        fits = [
            quadratic(
                np.array(
                    [(d[s], w[s]) for d, w in zip(drift, wins, strict=True)], float
                )
            )
            for s in range(seeds)
        ]
        contrasts = {
            "bends down": [-curve for curve, _, _ in fits],
            "peak inside": [1.0 if inside else -1.0 for _, inside, _ in fits],
            "AIC gain less 2": [gain - 2 for _, _, gain in fits],
        }
        yield reader.judge("S3.8", f"{setting}, {len(cells)} runs a seed", contrasts)


def _arrays(values: list[float]) -> list[np.ndarray]:
    return [np.asarray(value) for value in values]


PARTS: tuple[Callable[[Reader], Rows], ...] = (
    *SELECTION_PARTS, *UTILITY_PARTS, _likelihood_term, _compliance, _linear,
    _strengths, _quadratic,
)  # fmt: skip


def make_claims(
    table: pd.DataFrame, config: Config, skipped: Mapping[str, str]
) -> pd.DataFrame:
    """All claims in all settings.

    Args:
      table: from `rows.make_table`.
      config: that it was made with.
      skipped: part -> why it has no rows, or not of every seed.

    Returns:
      As `gradlab.tables.claims_table`.
    """
    reader = Reader(table, config, CLAIMS, skipped)
    return claims_table([row for part in PARTS for row in part(reader)])
