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
    Path,
    at_equal_strength,
    at_matched,
    matched,
    over_seeds,
    paths,
)
from gradlab.tables import claims_table, rank_correlation, select

Rows = Iterator[dict[str, Any]]
EXACT = {"S2.1a", "S2.5", "S2.6", "S2.12a"}
SWEPT = (
    ("dpo", PLAIN), ("averaged_dpo", MATCHED), ("ipo", PLAIN), (AVERAGED_IPO, MATCHED),
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
    for loss, kind in SWEPT:
        for kappa in reader.config.task.kappas:
            found = paths(reader.table, loss, kind, kappa)
            if not found:
                continue
            samples = [
                np.stack([p.values["gen_len"], p.values["score"]], -1)
                for p in found.values()
            ]
            yield reader.judge(
                "S2.3a", f"{loss}, kappa {kappa:g}", samples,
                statistic=rank_correlation,
            )  # fmt: skip


def _compare(
    reader: Reader, kappa: float, one: tuple[str, str], two: tuple[str, str],
    effect: Callable[[Path, Path], float],
) -> list[float]:  # fmt: skip
    """The effect of every seed; seeds without a shared range of KL are left out."""
    both = over_seeds(
        *(paths(reader.table, loss, kind, kappa) for loss, kind in (one, two))
    )
    found = [effect(*pair) for pair in both]
    return [x for x in found if np.isfinite(x)]


def _shorter(one: Path, two: Path) -> float:
    return matched(one, two, "gen_len")


def _not_higher(one: Path, two: Path) -> float:
    gains = at_matched(one, two, "score")
    if not len(gains):
        return float("nan")
    first, second = gains.mean(0)
    return float(0.02 - (second - first) / abs(first))


def _shorter_at_strength(one: Path, two: Path) -> float:
    return at_equal_strength(one, two, "gen_len")


def _longer(one: Path, two: Path) -> float:
    return -matched(one, two, "gen_len")


def _longer_at_strength(one: Path, two: Path) -> float:
    return -at_equal_strength(one, two, "gen_len")


def _averaged(reader: Reader) -> Rows:
    dpo, averaged = ("dpo", PLAIN), ("averaged_dpo", MATCHED)
    for kappa in reader.config.task.kappas:
        setting = f"kappa {kappa:g}"
        for claim, effect in (("S2.3b", _shorter), ("S2.3c", _not_higher)):
            samples = _compare(reader, kappa, dpo, averaged, effect)
            yield reader.judge(claim, setting, samples)
    first = reader.config.task.kappas[0]
    rules = {
        KL: (averaged, _shorter),
        "equal beta": (("averaged_dpo", "avg"), _shorter_at_strength),
        "beta matched by length": (averaged, _shorter_at_strength),
    }
    for rule, (other, effect) in rules.items():
        samples = _compare(reader, first, dpo, other, effect)
        yield reader.judge("S2.7a", rule, samples) | {"matching_rule": rule}
    yield _stability(reader, first)


def _stability(reader: Reader, kappa: float) -> dict[str, Any]:
    """Of the seeds that have all rates and betas of both losses."""
    rates, betas = reader.config.task.rate_factors, reader.config.betas
    ranges = []
    for loss, kind in (("dpo", PLAIN), ("averaged_dpo", MATCHED)):
        scores: dict[int, list[float]] = {}
        for rate in rates:
            for seed, path in paths(reader.table, loss, kind, kappa, rate).items():
                scores.setdefault(seed, []).extend(path.values["score"][1:])
        ranges.append({s: np.subtract(*np.quantile(v, [0.75, 0.25]))
                       for s, v in scores.items()
                       if len(v) == len(rates) * len(betas)})  # fmt: skip
    plain, other = ranges
    samples = [float(np.log(plain[s] / other[s])) for s in plain if s in other]
    setting = f"{len(rates)} rates x {len(betas)} betas"
    return reader.judge("S2.7b", setting, samples)


def _variants(reader: Reader) -> Rows:
    first, dpo = reader.config.task.kappas[0], ("dpo", PLAIN)
    simpo = ("simpo", MATCHED)
    for rule, near, far in (
        (KL, _shorter, _longer),
        ("equal strength, steps and rate", _shorter_at_strength, _longer_at_strength),
    ):
        samples = _compare(reader, first, dpo, ("sampo", PLAIN), near)
        yield reader.judge("S2.9", rule, samples) | {"matching_rule": rule}
        samples = _compare(reader, first, simpo, ("simpo_summed", PLAIN), far)
        yield reader.judge("S2.10a", rule, samples) | {"matching_rule": rule}
    yield reader.undecided(
        "S2.10b", "benchmarks", "not testable", "needs large models and judges"
    )
    for convention in ("both", "policy"):
        lengths = _by_alpha(reader.table, convention)
        yield reader.judge(
            "S2.11", f"reference weights: {convention}", lengths,
            statistic=rank_correlation,
        )  # fmt: skip


def _by_alpha(table: pd.DataFrame, convention: str) -> list[np.ndarray]:
    rows = select(table, metric="gen_len", ref_convention=convention)
    rows = rows.sort_values("alpha_ld")
    return [
        part[["alpha_ld", "value"]].to_numpy(float) for _, part in rows.groupby("seed")
    ]


def _rewards(reader: Reader) -> Rows:
    """R² on samples less R² on data, mean over the strengths of a path."""
    first = reader.config.task.kappas[0]
    keys = {"kappa": first, "rate": 1.0, "subset": "", "ref_convention": ""}
    for loss, kind in (("dpo", PLAIN), ("averaged_dpo", MATCHED), ("ipo", PLAIN)):
        policy, data = (
            reader.by_seed("r2_len", loss=loss, beta_kind=kind, part=part, **keys)
            for part in ("policy", "data")
        )
        samples = [
            float(a.mean() - b.mean()) for a, b in zip(policy, data, strict=True)
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
