"""From the study's table to the verdicts on its claims, and nothing but the table."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader
from analyses.edit_distance.cells import (
    KINDS,
    RECALCULATED,
    Edit,
    dpo_of,
    dpop_of,
    first_edit,
    runs_of,
)
from analyses.edit_distance.config import SIGN_ERROR, Config
from analyses.edit_distance.ledger_of_claims import CLAIMS
from analyses.edit_distance.real import OTHER, real_kinds
from analyses.edit_distance.rows import label_of
from analyses.edit_distance.runs import EQUAL_MARGIN, EQUAL_RATE
from gradlab.tables import claims_table, rank_correlation

Rows = Iterator[dict[str, Any]]
WORDS = "arithmetic"
SETTINGS = {"text": "one letter edited", WORDS: "one wrong result"}


class Table(Reader):
    """The reader, and the numbers of one cell of the study."""

    config: Config

    def of(
        self,
        metric: str,
        kind: str,
        loss: str,
        *,
        edit: Edit | None = None,
        rate: float | None = None,
        fit: str = "well",
        rule: str = EQUAL_RATE,
        side: str = "",
    ) -> list[float]:
        """The value after the run, one per seed; the smallest edit by default."""
        edit, runs = edit or first_edit(self.config, kind), runs_of(self.config, kind)
        keys: dict[str, Any] = {
            "kind": kind,
            "loss": label_of(loss),
            "edit_kind": edit.operation if edit.tokens else "whole",
            "edit_tokens": edit.tokens,
            "edit_pos": edit.place,
            "fit": fit,
            "lr": rate or runs.rate,
            "rule": rule,
            "side": side,
        }
        if metric == "d_sum" and rule == EQUAL_RATE:
            keys["step"] = runs.steps
        return [float(values[0]) for values in self.by_seed(metric, **keys)]

    def gains(self, kind: str, loss: str, **options: Any) -> list[float]:
        """Exact answers after the run less those before, by seed."""
        return _less(self.of("acc", kind, loss, **options), self.start(kind))

    def start(self, kind: str) -> list[float]:
        """Exact answers before any run, by seed."""
        return [float(values[0]) for values in self.by_seed("acc_start", kind=kind)]


def _less(one: list[float], two: list[float]) -> list[float]:
    """The differences of the seeds that both have; a time limit costs the last ones."""
    return [a - b for a, b in zip(one, two, strict=False)]


def _fallen(values: list[float]) -> list[float]:
    return [-value for value in values]


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
    samples = [share - 0.9 for share in table.start(WORDS)]
    yield table.judge("S4.0", "two-step problems", samples, kind=WORDS)


def _low_edit(table: Table) -> Rows:
    for kind in KINDS:
        runs = len(table.of("d_sum", kind, "dpo", side="chosen"))
        for setting, keys in _variants(table, kind):
            name, keys = f"{kind}, {setting}", {"side": "chosen", **keys}
            drift = {
                "S4.1": _fallen(table.of("d_sum", kind, "dpo", **keys)),
                "S4.2a": _fallen(table.of("d_after", kind, "dpo", **keys)),
                "S4.2b": table.of("d_after", kind, "dpop", **keys),
            }
            for claim, found in drift.items():
                few = keys.get("rule") == EQUAL_MARGIN and len(found) < runs
                note = f"{len(found)} of {runs} runs reached it" if few else ""
                if few and not found:
                    yield table.undecided(claim, name, "not testable", note)
                else:
                    yield table.judge(claim, setting, found, kind=kind, note=note)


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
            found = [v[0] for v in table.by_seed(f"ww_{name}", kind=kind)]
            counts = [int(v[0]) for v in table.by_seed("ww_tokens", kind=kind)]
            setting = f"{kind}, {words} drift"
            if counts and len(found) < len(counts):
                reason = f"shared tokens after the difference, by seed: {counts}"
                yield table.undecided("S4.4", setting, "not testable", reason)
                continue
            note = f"{sum(counts)} tokens" if counts else ""
            yield table.judge("S4.4", f"{words} drift", found, kind=kind, note=note)


def _answers(table: Table) -> Rows:
    setting = SETTINGS[WORDS]
    slack = CLAIMS["S4.5a"].e
    contrasts = {
        "base over DPO": _fallen(table.gains(WORDS, "dpo")),
        "base over SLiC": _fallen(table.gains(WORDS, "hinge")),
        "IPO no more than .02 above": [slack - g for g in table.gains(WORDS, "ipo")],
    }
    yield table.judge("S4.5a", setting, contrasts, kind=WORDS)
    start, gains = table.start(WORDS), table.gains(WORDS, "dpop")
    if start and np.mean(start) > table.config.ceiling:
        reason = (
            f"the base solves {np.mean(start):.3f}; DPO-Positive changes that by "
            f"{np.mean(gains):+.3f}"
        )
        yield table.undecided("S4.5b", f"{WORDS}, {setting}", "not testable", reason)
    else:
        yield table.judge("S4.5b", setting, gains, kind=WORDS)
    for beta in table.config.betas:
        lost = _fallen(table.gains(WORDS, dpo_of(beta)))
        yield table.judge("S4.8a", f"beta {beta:g}", lost, kind=WORDS)


def _whole(table: Table) -> Rows:
    edit, three = Edit(0), ("dpo", "hinge", "dpop")
    for kind in KINDS:
        before = table.of("choice_start", kind, "dpo", edit=edit)
        after = {loss: table.of("choice_acc", kind, loss, edit=edit) for loss in three}
        if before and np.mean(before) > table.config.ceiling:
            ends = ", ".join(f"{loss} {np.mean(v):.3f}" for loss, v in after.items())
            reason = f"choice accuracy starts at {np.mean(before):.3f}; after: {ends}"
            yield table.undecided("S4.6a", kind, "not testable", reason)
        elif before:
            gains = {loss: _less(v, before) for loss, v in after.items()}
            for loss in three[:2]:
                gains[f"dpop over {loss}"] = _less(after["dpop"], after[loss])
            yield table.judge("S4.6a", "whole response", gains, kind=kind)
        else:
            yield table.judge("S4.6a", "whole response", [], kind=kind)
        rises = {
            loss: table.of("d_sum", kind, loss, edit=edit, side="chosen")
            for loss in three
        }
        yield table.judge("S4.6b", "whole response", rises, kind=kind)


def _strengths(table: Table) -> Rows:
    usual = dpop_of(0.3, 50)
    for lam in (lam for lam in table.config.lams if lam != 50):
        other, setting = dpop_of(0.3, lam), f"lam {lam:g} less 50, beta 0.3"
        one, two = (table.of("acc", WORDS, loss) for loss in (other, usual))
        yield table.judge("S4.7a", setting, _less(one, two), kind=WORDS)
        for kind in KINDS:
            one, two = (
                table.of("d_after", kind, loss, side="chosen")
                for loss in (other, usual)
            )
            yield table.judge("S4.7b", setting, _less(one, two), kind=kind)
    for kind, beta in itertools.product(KINDS, table.config.betas):
        after = table.of("d_after", kind, dpo_of(beta), side="chosen")
        yield table.judge("S4.8b", f"beta {beta:g}", _fallen(after), kind=kind)


def _distance(table: Table) -> Rows:
    for kind, rule in itertools.product(KINDS, (EQUAL_RATE, EQUAL_MARGIN)):
        sizes = sorted(runs_of(table.config, kind).edits, key=lambda e: e or np.inf)
        edits = [
            Edit(tokens, place=table.config.place if tokens else 0.0)
            for tokens in sizes
        ]
        if kind == WORDS:
            edits = [first_edit(table.config, kind), *edits]
        paths = [
            table.of("d_after", kind, "dpo", edit=edit, side="chosen", rule=rule)
            for edit in edits
        ]
        samples = []
        if all(paths) and len({len(path) for path in paths}) == 1:
            samples = [
                float(rank_correlation(np.stack([np.arange(len(v)), v], -1)[None])[0])
                for v in map(np.array, zip(*paths, strict=True))
            ]
        named = ", ".join(str(e.tokens or "all") for e in edits)
        yield table.judge("S4.9", f"{named} tokens, {rule}", samples, kind=kind)
    for kind in _kinds(table):
        one, two = (
            [abs(v[0]) for v in table.by_seed(f"rho_{name}", kind=kind)]
            for name in ("ches", "edit")
        )
        if one and len(one) != len(two):
            reason = "the pairs of a seed have one edit distance"
            yield table.undecided(
                "S4.10", f"{kind}, predicted drift", "not testable", reason
            )
        else:
            yield table.judge("S4.10", "predicted drift", _less(one, two), kind=kind)


def _placements(table: Table) -> Rows:
    for kind in KINDS:
        contrasts = {}
        for side in ("chosen", "rejected"):
            outside, inside = (
                table.of("d_sum", kind, loss, side=side)
                for loss in ("dpop_outside", "dpop")
            )
            contrasts[side] = _less(outside, inside)
        yield table.judge("S4.11b", SETTINGS[kind], contrasts, kind=kind)


def _control(table: Table) -> Rows:
    for kind in KINDS:
        right, wrong = (
            table.of("d_sum", kind, loss, side="chosen")
            for loss in ("dpop", SIGN_ERROR)
        )
        yield table.judge("S4.13", SETTINGS[kind], _less(right, wrong), kind=kind)


PARTS: tuple[Callable[[Table], Rows], ...] = (
    _start, _low_edit, _theory, _wrong_way, _answers, _whole, _strengths, _distance,
    _placements, _control,
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
