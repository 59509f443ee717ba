"""A table of the study with the schema that runs give it, and numbers made up."""

from collections.abc import Callable, Iterator

import numpy as np

from analyses.common.rows import Row, row
from analyses.edit_distance.cells import KINDS, Cell, cells_of, runs_of
from analyses.edit_distance.config import SIGN_ERROR, Config
from analyses.edit_distance.runs import EQUAL_MARGIN, EQUAL_RATE, keys_of
from analyses.edit_distance.theory import PLACEMENTS

SIDES = ("chosen", "rejected")
BASE = 0.97


def as_claimed(cell: Cell, metric: str, side: str) -> float:
    """What a run would give if every claim on training held."""
    size = cell.edit.tokens or 24
    if metric == "acc":
        gains = {"dpop": 0.025, "ipo": -0.03}
        lost = (
            -0.3 if cell.loss.startswith(("dpo(", "hinge")) or cell.loss == "dpo" else 0
        )
        return BASE + gains.get(cell.loss, 0.025 if "dpop" in cell.loss else lost)
    if metric == "choice_start":
        return 0.6
    if metric == "choice_acc":
        return {"dpo": 0.7, "hinge": 0.7, "dpop": 0.8}.get(cell.loss, 0.6)
    if metric == "below_start":
        return 0.5
    falls = cell.loss != SIGN_ERROR and "dpop" not in cell.loss and size < 24
    level = -1.0 / size if falls else 1.0 if "outside" not in cell.loss else 2.0
    if cell.loss == SIGN_ERROR:
        level = -2.0
    if side == "rejected":
        level -= 3.0
    return level if metric == "d_sum" else 0.1 * level


def run_rows(cell: Cell, seed: int, config: Config, value: Callable) -> Iterator[Row]:
    """The rows of one run."""
    runs, keys = runs_of(config, cell.kind), keys_of(cell, seed)
    noise = 1e-3 * seed

    def found(metric: str, side: str = "") -> float:
        return value(cell, metric, side) + noise

    for rule in (EQUAL_RATE, EQUAL_MARGIN):
        last = {**keys, "rule": rule}
        for side in SIDES:
            given = {**last, "side": side}
            step = {"step": runs.steps} if rule == EQUAL_RATE else {}
            yield row("d_sum", found("d_sum", side), **given, **step)
            if rule == EQUAL_RATE and cell.detailed:
                half = 0.5 * found("d_sum", side)
                yield row("d_sum", half, **given, step=runs.steps // 2)
            if rule == EQUAL_RATE or side == "chosen":
                yield row("d_after", found("d_after", side), **given)
            if rule == EQUAL_RATE and side == "chosen":
                for place in ("before", "at", "suffix"):
                    yield row(f"d_{place}", found("d_after", side), **given)
    last = {**keys, "rule": EQUAL_RATE}
    for offset in range(-3, 8) if cell.detailed else ():
        given = {**last, "side": "chosen", "offset": offset}
        yield row("profile", found("d_after", "chosen"), **given)
        if cell.loss == "dpo":
            yield row("profile_count", 32, **given)
    names = ["choice_acc", "below_start"] + ["choice_start"] * (cell.loss == "dpo")
    names += ["acc"] * (cell.kind == "arithmetic")
    for metric in names:
        yield row(metric, found(metric), **last)


def step_rows(kind: str, seed: int, config: Config) -> Iterator[Row]:
    """The rows of single steps on one kind."""
    rng, keys = np.random.default_rng([seed, len(kind)]), {"kind": kind, "seed": seed}
    given = {**keys, "loss": "dpo", "side": "chosen"}
    yield row("ww_tokens", 40, **given)
    for name in ("pred", "real", "batch"):
        yield row(f"ww_{name}", 0.5 + 0.01 * seed, **given)
    yield row("rho_ches", 0.6 + 0.01 * seed, **given)
    yield row("rho_edit", -0.2, **given)
    if seed == config.seeds[0]:
        for token in range(40):
            place = {**given, "pair": token // 8, "position": token % 8}
            yield row("token_ww", rng.normal(), **place)
            yield row("token_pred", rng.normal(), **place)
            yield row("token_real", rng.normal(), **place)
    for loss in config.step_losses:
        for side in SIDES:
            for place in ("before", "at", "after", "suffix"):
                part = {**keys, "loss": loss, "side": side}
                yield row(f"pred_{place}", rng.normal(), **part)


def study_rows(config: Config, value: Callable = as_claimed) -> list[Row]:
    """All rows of all seeds; blimp stands for the real kinds."""
    rows: list[Row] = []
    for seed in config.seeds:
        for kind in KINDS:
            for cells in cells_of(config, kind).values():
                for cell in cells:
                    rows += run_rows(cell, seed, config, value)
        for kind in (*KINDS, "blimp"):
            rows += step_rows(kind, seed, config)
        rows.append(row("acc_start", BASE, kind="arithmetic", seed=seed))
        for metric in (
            "shared_dpo", "shared_dpop", "shared_at", "placement_error", "tie_error",
            "margin_error",
        ):  # fmt: skip
            rows.append(row(metric, 1e-16, seed=seed))
    for loss in PLACEMENTS:
        rows += [row("weight_ratio", 1 + x * x, loss=loss, x=x) for x in (-1.0, 0.0, 1)]
    return rows
