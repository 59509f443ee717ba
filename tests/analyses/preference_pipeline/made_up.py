"""A made-up table of the study: a world in which its claims hold, or their reverse."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analyses.common.rows import Row, row
from analyses.preference_pipeline.cells import (
    FREE,
    Cell,
    form_on,
    grid_cells,
    sweep_cells,
)
from analyses.preference_pipeline.config import Config
from analyses.preference_pipeline.judges import DISTORTIONS, TAILS
from analyses.preference_pipeline.linear import BASES, BEYOND, FORMS
from analyses.preference_pipeline.rows import make_table

SCHEMES = {
    ("running winner", "first loser"): 7, ("running winner", "last loser"): 7,
    ("running winner", "random other"): 7, ("running winner", "second pass"): 11,
    ("best of 3 votes", "second pass"): 33, ("both orders", "second pass"): 22,
    ("max and min", "lowest"): 10, ("Swiss", "lowest"): 16,
    ("round robin", "lowest"): 28, ("random pair", "random other"): 0,
    **{(f"scores x {k}, tail {t}", "lowest"): 8 * k for k in (1, 2, 4) for t in TAILS},
    **{(f"scores x 1, tail {t}", "random other"): 8 for t in TAILS},
}  # fmt: skip


def made_up_table(config: Config, *, holds: bool = True) -> pd.DataFrame:
    """Rows of every part."""
    rows = [
        one
        for seed in config.seeds
        for part in (_matched, _judges, _linear, _runs)
        for one in part(config, seed, 1.0 if holds else -1.0)
    ]
    for seed in config.tuning_seeds:
        rows.append(row("utility", 0.5, part="tuning reference", seed=seed))
        rows += [
            {**one, "part": "tuning"}
            for one in _runs(config, seed, 1.0 if holds else -1.0)
            if one.get("part") == "delta"
        ]
    return make_table(rows)


def _noise(seed: int) -> float:
    """One for each seed, so that intervals have a width."""
    return 1e-3 * ((seed * 7) % 5 - 2)


def _matched(config: Config, seed: int, sign: float) -> Iterator[Row]:
    judging = config.judging
    for tau, ((scheme, rejected), calls) in itertools.product(
        (judging.tau, *judging.other_taus), SCHEMES.items()
    ):
        scored = scheme.startswith("scores")
        lowest = rejected in ("lowest", "second pass")
        values = {
            "regret": 1.0 - 0.1 * np.log(calls + 1) + 0.2 * sign * scored,
            "mislabel": 0.2 - 0.02 * np.log(calls + 1) + 0.1 * sign * scored,
            "best_rate": 0.6 - 0.2 * (sign < 0) * scored,
            "pair_gap": 1.5 + sign * lowest + 0.01 * len(scheme),
            "calls": calls,
        }
        for metric, value in values.items():
            yield row(
                metric, value + (metric != "calls") * _noise(seed), part="matched",
                candidates=judging.candidates, tau=tau, scheme=scheme,
                rejected=rejected, seed=seed,
            )  # fmt: skip


def _judges(config: Config, seed: int, sign: float) -> Iterator[Row]:
    judging, extra = config.judging, _noise(seed)
    for part, amount in itertools.product(
        (*DISTORTIONS, "shared length"), judging.strengths
    ):
        keys = {"part": part, "amount": amount, "tau": judging.tau, "seed": seed}
        scored = [f"scores x 1, tail {tail}" for tail in TAILS]
        for scheme, share in (*((s, sign) for s in scored), ("max and min", 0.0)):
            gain = share * (0.4 * amount - 0.1)
            regret, wrong = 0.6 + gain + share * extra, 0.3 + gain / 4 + share * extra
            yield row("regret", regret, scheme=scheme, **keys)
            yield row("mislabel", wrong, scheme=scheme, **keys)
        for scheme in scored:
            gain = sign * 0.3 * amount + extra
            yield row("matched_regret_gain", gain, scheme=scheme, **keys)
    costs = {"fixed": 0.05, "random": 0.1, "both": 0.02}
    for amount, (orders, cost) in itertools.product(judging.biases, costs.items()):
        regret = 0.5 + (0.2 + sign * cost) * amount + extra * cost
        keys = {"part": "order bias", "amount": amount, "orders": orders, "seed": seed}
        yield row("regret", regret, scheme="running winner", **keys)
    for amount, rule in itertools.product(judging.thresholds, ("keep", "coin", "ask")):
        keys = {"part": "ties", "amount": amount, "rejected": rule, "seed": seed}
        yield row("regret", 0.5 + amount / len(rule), scheme="running winner", **keys)
    for amount, scheme in itertools.product(
        judging.cycles, ("running winner", "max and min", "round robin")
    ):
        keys = {"part": "cycles", "amount": amount, "scheme": scheme, "seed": seed}
        yield row("regret", 0.5 + amount / len(scheme), **keys)


def _linear(config: Config, seed: int, sign: float) -> Iterator[Row]:
    for name, form, number in itertools.product(BASES, FORMS, range(2)):
        keys = {"part": "linear", "scheme": name, "loss": form}
        keys |= {"seed": seed, "step": number}
        yield row("transition", 1.0 if sign > 0 else BEYOND, **keys)
        for factor in np.geomspace(0.25, 4, 9):
            peak = 2.0 if factor >= 1 else 2 / factor**2
            yield row("peak_drop", peak, delta=2.0, strength=factor, **keys)


def _runs(config: Config, seed: int, sign: float) -> Iterator[Row]:
    runs = config.runs
    yield row("utility", 0.5, part="reference", seed=seed)
    limits = itertools.product(FORMS, (None, *runs.other_bases), runs.plane_deltas)
    losses = [(form_on(form, base), delta) for form, base, delta in limits]
    for loss, delta in (*losses, ("mle", 0.0)):
        for step, value in zip(runs.threshold_stops, (0.1, 0.2, 0.0), strict=True):
            keys = {"part": "threshold", "loss": loss, "delta": delta, "step": step}
            yield row("threshold", value, seed=seed, **keys)
    for scheme in runs.schemes:
        keys = {"part": "pairs", "scheme": scheme, "seed": seed}
        yield row("mislabel", 0.01 * len(scheme), **keys)
    for cell in (*sweep_cells(runs), *grid_cells(runs)):
        names = ("part", "scheme", "loss", "delta", "strength")
        keys = {name: getattr(cell, name) for name in names} | {"seed": seed}
        values = _run(cell, seed, sign)
        for metric, value in values.items():
            yield row(metric, value, step=runs.steps, **keys)


def _run(cell: Cell, seed: int, sign: float) -> dict[str, float]:
    """A fall that the budget limits; utility is best at a fall of two nats."""
    fall = 10.0
    if cell.delta != FREE and cell.strength:
        fall = cell.delta + 4 / (1 + 16 * cell.strength)
    if cell.gamma:
        fall = -1.0 if sign > 0 else 5.0
    noise = _noise(seed)
    through = (15 + cell.strength) * (sign < 0 and cell.delta != FREE)
    pairwise = 0.1 * sign * (cell.scheme == "extremes" and cell.part == "grid")
    budget = 0.1 * sign * (cell.delta != FREE and cell.part == "grid")
    worth = 0.8 - sign * 0.01 * (fall - 2) ** 2 * (cell.part != "grid")
    worth += pairwise + budget + noise
    return {
        "utility": worth,
        "utility_equal_kl": worth - 0.05,
        "kl": 1.0,
        "win_rate": worth,
        "duty": 0.1 * (cell.delta != FREE),
        "drop_mean": fall / 2,
        "drop_q05": fall / 4 - 1,
        "drop_q50": fall / 2 + noise,
        "drop_q95": fall + through + noise,
        "fallen": 0.0 if fall < 0 else 0.6 + noise,
        "margin_right": 0.9 + noise,
    }
