"""From the study's table to the verdicts on its claims, and nothing but the table."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader
from analyses.length_sensitivity.cells import AVERAGED_IPO
from analyses.length_sensitivity.config import Config
from analyses.length_sensitivity.ledger_of_claims import CLAIMS, KL
from analyses.length_sensitivity.paths import (
    MATCHED,
    PLAIN,
    Contest,
    at_divergence,
    at_strength,
    over_rates,
    paths,
)
from gradlab.tables import claims_table, rank_correlation, select

Rows = Iterator[dict[str, Any]]
Effect = Callable[[np.ndarray], float]  # of one seed, from [levels or strengths, 2]
EXACT = {"S2.1a", "S2.5", "S2.6", "S2.12a"}
DPO, AVERAGED = ("dpo", PLAIN), ("averaged_dpo", MATCHED)
SWEPT = (
    DPO, AVERAGED, ("ipo", PLAIN), (AVERAGED_IPO, MATCHED),
    ("simpo", MATCHED), ("simpo_summed", PLAIN), ("rdpo", PLAIN), ("sampo", PLAIN),
    ("wpo", PLAIN),
)  # fmt: skip


def _identities(reader: Reader) -> Rows:
    table = reader.table
    for claim in sorted(EXACT):
        own = table[(table["kind"] == "identity") & (table["quantity"] == claim)]
        for part in dict.fromkeys(own["part"]):
            samples = reader.by_seed("error", quantity=claim, part=part)
            yield reader.judge(claim, part, samples)
    spread = reader.by_seed("first_margin_spread")
    yield reader.judge(
        "S2.12b", f"{reader.config.sampo_draws} draws", [x - 1 for x in spread]
    )
    yield reader.judge(
        "S2.12c", f"{reader.config.sampo_draws} draws",
        reader.by_seed("first_margin_mean"),
    )  # fmt: skip


def _doubling(reader: Reader) -> Rows:
    samples = [
        one - two
        for one, two in zip(
            reader.by_seed("doubling_share", loss="dpo"),
            reader.by_seed("doubling_share", loss="mle(reduction=mean)"),
            strict=True,
        )
    ]
    setting = "policy after DPO, beta .1"
    yield reader.judge("S2.1b", setting, samples, kind="task")


def _optima(reader: Reader) -> Rows:
    for loss in dict.fromkeys(
        reader.table.loc[reader.table["metric"] == "optimum_error", "loss"]
    ):
        samples = reader.by_seed("optimum_error", loss=loss)
        yield reader.judge("S2.2a", loss, samples)
        residuals = reader.by_seed("fixed_point_error", loss=loss)
        if residuals:
            yield reader.judge("S2.2b", loss, residuals)
    distances = reader.by_seed("tv_optimum", part="any lengths")
    yield reader.judge(
        "S2.4a", "tabular, averaged DPO", distances, statistic=_fifth_percentile
    )
    yield reader.judge(
        "S2.4b", "tabular, averaged DPO",
        reader.by_seed("tv_optimum", part="equal lengths"),
    )  # fmt: skip


def _fifth_percentile(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, 0.05, axis=1)


def _paths(reader: Reader) -> Rows:
    kappas = reader.config.task.kappas
    for loss in SWEPT:
        for kappa in kappas if loss in (DPO, AVERAGED) else kappas[:1]:
            found = paths(reader.table, reader.config, loss, kappa)
            samples = [
                _rank(p.values["gen_len"], p.values["score"]) for p in found.values()
            ]
            yield reader.judge("S2.3a", f"{loss[0]}, kappa {kappa:g}", samples)


def _rank(one: np.ndarray, two: np.ndarray) -> float:
    """One number a seed: to resample the few points of a path would say nothing."""
    return float(rank_correlation(np.stack([one, two], -1)[None])[0])


def _shorter(both: np.ndarray) -> float:
    first, second = both.mean(0)
    return float(1 - second / first)


def _longer(both: np.ndarray) -> float:
    return -_shorter(both)


def _not_higher(both: np.ndarray) -> float:
    first, second = both.mean(0)
    return float(0.02 - (second - first) / abs(first))


def _at_divergence(
    reader: Reader, claim: str, setting: str, contest: Contest, metric: str,
    effect: Effect,
) -> dict[str, Any]:  # fmt: skip
    """The verdict at equal KL, and how many samples were cut off at these levels."""
    given = (reader.table, reader.config, contest)
    samples = [effect(both) for both in at_divergence(*given, metric)]
    cut = at_divergence(*given, "trunc_share")
    note = ""
    if cut:
        one, two = np.mean([both.mean(0) for both in cut], axis=0)
        names = (contest.one[0], contest.two[0])
        note = f"cut off: {names[0]} {one:.0%}, {names[1]} {two:.0%}"
    return reader.judge(claim, setting, samples, note=note) | {"matching_rule": KL}


def _at_strength(
    reader: Reader, claim: str, rule: str, contest: Contest, effect: Effect, **options
) -> dict[str, Any]:
    both = at_strength(reader.table, reader.config, contest, "gen_len")
    samples = [effect(values) for values in both]
    return reader.judge(claim, rule, samples, **options) | {"matching_rule": rule}


def _averaged(reader: Reader) -> Rows:
    for kappa in reader.config.task.kappas:
        setting, contest = f"kappa {kappa:g}", Contest(DPO, AVERAGED, kappa)
        for claim, metric, effect in (
            ("S2.3b", "gen_len", _shorter), ("S2.3c", "score", _not_higher),
        ):  # fmt: skip
            yield _at_divergence(reader, claim, setting, contest, metric, effect)
    first = reader.config.task.kappas[0]
    note = f"at equal sequence KL: S2.3b, kappa {first:g}"
    for rule, other in (
        ("equal beta", ("averaged_dpo", "avg")), ("beta matched by length", AVERAGED),
    ):  # fmt: skip
        contest = Contest(DPO, other, first)
        yield _at_strength(reader, "S2.7a", rule, contest, _shorter, note=note)
    yield _stability(reader, first)


def _stability(reader: Reader, kappa: float) -> dict[str, Any]:
    """Of the seeds that have all rates and betas of both losses."""
    config = reader.config
    rates = config.task.rate_factors
    plain, other = (
        {
            seed: np.subtract(*np.quantile(values["score"], [0.75, 0.25]))
            for seed, values in over_rates(
                reader.table, config, loss, kappa, rates
            ).items()
        }
        for loss in (DPO, AVERAGED)
    )
    samples = [float(np.log(plain[s] / other[s])) for s in plain if s in other]
    setting = f"{len(rates)} rates x {len(config.betas)} betas"
    return reader.judge("S2.7b", setting, samples)


def _variants(reader: Reader) -> Rows:
    first = reader.config.task.kappas[0]
    rule = "equal strength, steps and rate"
    for claim, one, two, effect in (
        ("S2.9", DPO, ("sampo", PLAIN), _shorter),
        ("S2.10a", ("simpo", MATCHED), ("simpo_summed", PLAIN), _longer),
    ):
        contest = Contest(one, two, first)
        yield _at_divergence(reader, claim, KL, contest, "gen_len", effect)
        yield _at_strength(reader, claim, rule, contest, effect)
    yield reader.undecided(
        "S2.10b", "benchmarks", "not testable", "needs large models and judges"
    )
    for convention in ("both", "policy"):
        samples = _by_alpha(reader.table, reader.config, convention)
        yield reader.judge("S2.11", f"reference weights: {convention}", samples)


def _by_alpha(table: pd.DataFrame, config: Config, convention: str) -> list[float]:
    """Rank correlation of each seed that has all alphas."""
    rows = select(table, metric="gen_len", ref_convention=convention)
    return [
        _rank(part["alpha_ld"].to_numpy(float), part["value"].to_numpy(float))
        for _, part in rows.groupby("seed")
        if len(part) == len(config.alphas)
    ]


def _rewards(reader: Reader) -> Rows:
    """R² on samples less R² on data, mean over the strengths of a path."""
    first = reader.config.task.kappas[0]
    keys = {"kappa": first, "rate": 1.0, "subset": "", "ref_convention": ""}
    for loss, kind in (DPO, AVERAGED, ("ipo", PLAIN)):
        policy, data = (
            reader.by_seed("r2_len", loss=loss, beta_kind=kind, part=part, **keys)
            for part in ("policy", "data")
        )
        samples = [
            float(a.mean() - b.mean())
            for a, b in zip(policy, data, strict=True)
            if len(a) == len(b) == len(reader.config.betas)
        ]
        yield reader.judge("S2.8", loss, samples)


def make_claims(
    table: pd.DataFrame, config: Config, skipped: Mapping[str, str]
) -> pd.DataFrame:
    """The verdicts on all claims.

    Args:
      table: of the study.
      config: that it was made with.
      skipped: what has no rows, and why.
    """
    reader = Reader(table, config, CLAIMS, skipped)
    parts = (_identities, _doubling, _optima, _paths, _averaged, _variants, _rewards)
    rows = [found for part in parts for found in part(reader)]
    return claims_table(sorted(rows, key=lambda found: _number(found["claim_id"])))


def _number(claim: str) -> tuple[int, str]:
    digits = claim.partition(".")[2].rstrip("abc")
    return int(digits), claim
