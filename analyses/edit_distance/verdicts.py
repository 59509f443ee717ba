"""From the study's table to the verdicts on its claims, and nothing but the table."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.edit_distance.cells import (
    KINDS,
    RECALCULATED,
    Edit,
    dpo_of,
    dpop_of,
    edits_of,
    runs_of,
)
from analyses.edit_distance.config import SIGN_ERROR, Config
from analyses.edit_distance.ledger_of_claims import CLAIMS
from analyses.edit_distance.reading import WORDS, Table, less
from analyses.edit_distance.real import OTHER, real_kinds
from analyses.edit_distance.runs import EQUAL_MARGIN, EQUAL_RATE
from gradlab.tables import claims_table, rank_correlation

Rows = Iterator[dict[str, Any]]
SETTINGS = {"text": "one letter edited", WORDS: "one wrong result"}


def _variants(table: Table, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings in which the smallest edit is trained on, and how to find them."""
    runs, what = runs_of(table.config, kind), SETTINGS[kind]
    for rate in sorted({runs.rate, *runs.other_rates}):
        yield f"{what}, rate {rate:g}", {"rate": rate}
    if kind == "text":
        yield f"{what}, rate {runs.rate:g}, under-fitted start", {"fit": "under"}
    else:
        yield (
            f"{what}, rate {runs.rate:g}, later results recalculated",
            {"edit": RECALCULATED},
        )
    yield (
        f"{what}, rate {runs.rate:g}, at a margin of {runs.margin:g} nats",
        {"rule": EQUAL_MARGIN},
    )


def _start(table: Table) -> Rows:
    yield table.judge("S4.0", "two-step problems", table.start() - 0.9, kind=WORDS)


def _low_edit(table: Table) -> Rows:
    for kind in KINDS:
        for setting, keys in _variants(table, kind):
            rule = keys.pop("rule", EQUAL_RATE)
            for claim, metric, loss, sign in (
                ("S4.1", "d_sum", "dpo", -1),
                ("S4.2a", "d_after", "dpo", -1),
                ("S4.2b", "d_after", "dpop", 1),
            ):
                found, runs = (
                    table.of(metric, kind, loss, side="chosen", rule=of, **keys)
                    for of in (rule, EQUAL_RATE)
                )
                yield table.matched(claim, setting, sign * found, kind, rule, len(runs))


def _theory(table: Table) -> Rows:
    for claim, metrics in (
        ("S4.3", ("shared_dpo", "shared_dpop", "shared_at")),
        ("S4.11a", ("placement_error",)),
        ("S4.12", ("tie_error", "margin_error")),
    ):
        errors = [part for metric in metrics for part in table.by_seed(metric)]
        yield table.judge(claim, "float64", errors)


def _kinds(table: Table) -> list[str]:
    """All kinds of pairs; where no larger model is named, that as one of them."""
    other = [OTHER] if OTHER in table.skipped else []
    return [*KINDS, *real_kinds(table.config), *other]


def _wrong_way(table: Table) -> Rows:
    for kind in _kinds(table):
        for name, words in (("pred", "predicted"), ("real", "realised")):
            found = table.seeds(f"ww_{name}", kind=kind)
            counts = [int(v) for v in table.seeds("ww_tokens", kind=kind)]
            setting = f"{kind}, {words} drift"
            if len(found) < len(counts):
                reason = f"shared tokens after the difference, by seed: {counts}"
                yield table.undecided("S4.4", setting, "not testable", reason)
                continue
            note = f"{sum(counts)} tokens" if counts else ""
            yield table.judge("S4.4", f"{words} drift", found, kind=kind, note=note)


def _answers(table: Table) -> Rows:
    setting, start = SETTINGS[WORDS], table.start()
    lost = {"DPO": -table.gains("dpo"), "SLiC": -table.gains("hinge")}
    yield table.judge("S4.5a", setting, lost, kind=WORDS)
    yield table.bounded("S4.5b", setting, table.gains("dpop"), WORDS, start)
    left = 0.02 - table.gains("ipo")
    yield table.bounded("S4.5c", setting, left, WORDS, start)
    for beta in table.config.betas:
        lost = -table.gains(dpo_of(beta))
        yield table.judge("S4.8a", f"beta {beta:g}", lost, kind=WORDS)


def _whole(table: Table) -> Rows:
    edit, three, setting = Edit(0), ("dpo", "hinge", "dpop"), "whole response"
    for kind in KINDS:
        before = table.of("choice_start", kind, "dpo", edit=edit)
        after = {loss: table.of("choice_acc", kind, loss, edit=edit) for loss in three}
        gains = {loss: less(found, before) for loss, found in after.items()}
        for loss in three[:2]:
            gains[f"dpop over {loss}"] = less(after["dpop"], after[loss])
        yield table.bounded("S4.6a", setting, gains, kind, before)
        rises = {
            loss: table.of("d_sum", kind, loss, edit=edit, side="chosen")
            for loss in three
        }
        yield table.judge("S4.6b", setting, rises, kind=kind)


def _strengths(table: Table) -> Rows:
    usual = dpop_of(0.3, 50)
    for lam in (lam for lam in table.config.lams if lam != 50):
        other, setting = dpop_of(0.3, lam), f"lam {lam:g} less 50, beta 0.3"
        one, two = (table.of("acc", WORDS, loss) for loss in (other, usual))
        yield table.judge("S4.7a", setting, less(one, two), kind=WORDS)
        for kind in KINDS:
            one, two = (
                table.of("d_after", kind, loss, side="chosen")
                for loss in (other, usual)
            )
            yield table.judge("S4.7b", setting, less(one, two), kind=kind)
    for kind, beta in itertools.product(KINDS, table.config.betas):
        after = table.of("d_after", kind, dpo_of(beta), side="chosen")
        yield table.judge("S4.8b", f"beta {beta:g}", -after, kind=kind)


def _distance(table: Table) -> Rows:
    for kind in KINDS:
        runs = runs_of(table.config, kind)
        level = f"rate {runs.gentle_rate:g}, at a margin of {runs.margin:g} nats"
        for rule, setting, rate in (
            (EQUAL_RATE, EQUAL_RATE, runs.rate),
            (EQUAL_MARGIN, level, runs.gentle_rate),
        ):
            found, made = (_orders(table, kind, rate, of) for of in (rule, EQUAL_RATE))
            tokens = [str(e.tokens or "all") for e in edits_of(table.config, kind)]
            name = f"{', '.join(tokens)} tokens, {setting}"
            yield table.matched("S4.9", name, found, kind, rule, len(made))


def _orders(table: Table, kind: str, rate: float, rule: str) -> pd.Series:
    """By seed, how the edits' drifts after the difference rank beside their sizes."""
    paths = [
        table.of("d_after", kind, "dpo", edit=edit, rate=rate, side="chosen", rule=rule)
        for edit in edits_of(table.config, kind)
    ]
    drifts = pd.concat(paths, axis=1, join="inner")
    sizes = np.broadcast_to(np.arange(len(paths)), drifts.shape)
    ranks = rank_correlation(np.stack([sizes, drifts.to_numpy(float)], -1))
    return pd.Series(ranks, drifts.index)


def _steps(table: Table) -> Rows:
    for kind in _kinds(table):
        one, two = (
            table.seeds(f"rho_{name}", kind=kind).abs() for name in ("ches", "edit")
        )
        if len(one) != len(two):
            reason = "the pairs of a seed have one edit distance"
            yield table.undecided(
                "S4.10", f"{kind}, predicted drift", "not testable", reason
            )
        else:
            yield table.judge("S4.10", "predicted drift", less(one, two), kind=kind)


def _placements(table: Table) -> Rows:
    for kind in KINDS:
        contrasts = {}
        for side in ("chosen", "rejected"):
            outside, inside = (
                table.of("d_sum", kind, loss, side=side)
                for loss in ("dpop_outside", "dpop")
            )
            contrasts[side] = less(outside, inside)
        yield table.judge("S4.11b", SETTINGS[kind], contrasts, kind=kind)


def _control(table: Table) -> Rows:
    for kind in KINDS:
        right, wrong = (
            table.of("d_sum", kind, loss, side="chosen")
            for loss in ("dpop", SIGN_ERROR)
        )
        yield table.judge("S4.13", SETTINGS[kind], less(right, wrong), kind=kind)


PARTS: tuple[Callable[[Table], Rows], ...] = (
    _start, _low_edit, _theory, _wrong_way, _answers, _whole, _strengths, _distance,
    _steps, _placements, _control,
)  # fmt: skip


def make_claims(
    table: pd.DataFrame, config: Config, skipped: Mapping[str, str]
) -> pd.DataFrame:
    """All claims in all settings.

    Args:
      table: from `rows.make_table`.
      config: that it was made with.
      skipped: part or kind -> why it has no rows.

    Returns:
      As `gradlab.tables.claims_table`.
    """
    pretrained = (WORDS, *real_kinds(config))
    # Runs are skipped by kind and part, such as "text, sweep".
    kinds = {name.partition(", ")[0]: reason for name, reason in skipped.items()}
    reasons = {**kinds, **skipped}
    reader = Table(table, config, CLAIMS, reasons, pretrained=pretrained)
    return claims_table([row for part in PARTS for row in part(reader)])
