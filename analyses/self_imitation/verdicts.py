"""From the study's table to the verdicts on its claims, and nothing but the table."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader
from analyses.self_imitation.config import Config
from analyses.self_imitation.ledger_of_claims import CLAIMS
from analyses.self_imitation.members import COUPLED, GSIL, MEMBERS, PROPER
from analyses.self_imitation.reading import (
    at_equal_fall,
    at_equal_margin,
    paired,
    paths,
    shifted,
    values,
)
from analyses.self_imitation.runs import DRAINED, OWN_RATE, PLAIN
from analyses.self_imitation.word_runs import WORDS
from analyses.self_imitation.word_verdicts import WORD_PARTS, answers, margins
from gradlab.tables import claims_table, rank_correlation, select

Rows = Iterator[dict[str, Any]]
PLAYERS = (*COUPLED, *GSIL)
DIL = ("dil_lsif", "dil_ukl", "dil_bce")
TIES = 6  # decimals of KL that count for its order over iterations
DIVERGED = 1.0  # nats further from the source than at the start
RELEASED = {"scale": 0.01, "shift": 2.0}  # of the authors' script
BENCHMARKS = "the papers' models, data and judges are not at hand"


def _last(reader: Reader, part: str) -> int:
    config = reader.config
    families = {"lm": config.runs, "words": config.words}
    return families.get(part.split()[0], config.tabular).iterations


def _better(reader: Reader) -> Rows:
    """S5.1: members against SFT and SPIN."""
    table, words = reader.config.tabular, reader.config.words
    scale = reader.config.runs.scale
    places = [("sampled", f"tabular, {table.demonstrations} demonstrations", s)
              for s in table.sampled_scales]  # fmt: skip
    places += [("lm", "lm, equal rate", scale), (OWN_RATE, "lm, own rates", scale)]
    places += [(part, name, words.scale) for part, name in WORD_PARTS.items()]
    for member, (part, name, scale) in itertools.product(GSIL, places):
        setting = f"{name}, {member}, scale {scale:g}"
        for claim, other in (("S5.1a", "sft"), ("S5.1b", "spin")):
            found = _differences(reader, "kl_data_policy", part, other, member, scale)
            yield reader.judge(claim, setting, found)
        if part == "sampled":
            continue
        for claim, other in (("S5.1c", "sft"), ("S5.1d", "spin")):
            found = _differences(reader, "acc", part, member, other, scale)
            yield reader.judge(claim, setting, found)
    for claim in ("S5.1a", "S5.1b"):
        yield reader.undecided(claim, "benchmarks", "not testable", BENCHMARKS)


def _differences(
    reader: Reader, metric: str, part: str, one: str, two: str, scale: float
) -> list[np.ndarray]:
    """One less two after the last iteration, by seed; `sft` has one scale only."""
    keys = {"part": part, "decoding": "sampled", "iteration": _last(reader, part)}
    sides = []
    for loss in (one, two):
        given = {**keys, "loss": loss}
        if loss != "sft":
            given |= {"scale": scale, "shift": 0.0}
        sides.append(values(reader.table, metric, **given))
    return [a - b for a, b in paired(*sides)]


def _optimum(reader: Reader) -> Rows:
    """S5.2: the identity of proper members, where they balance, and what is learned."""
    for member in PROPER:
        error = select(reader.table, metric="ratio_error", loss=member)[
            "value"
        ].tolist()
        yield reader.judge("S5.2a", member, error)
    for member in MEMBERS:
        claim = "S5.2b" if member in PROPER else "S5.2c"
        error = reader.by_seed("optimum_error", loss=member)
        yield reader.judge(claim, f"tabular, {member}", error)
    for member in GSIL:
        if member in PROPER:
            slopes = values(reader.table, "slope", loss=member)
            found = [slope[0] - 1 for slope in slopes.values()]
            yield reader.judge("S5.2d", f"tabular, {member}", found)


def _sides(reader: Reader) -> Rows:
    """S5.3: both sides beside SPIN's, in the first iteration."""
    families = {"lm": ("lm", reader.config.runs.scale),
                WORDS: ("word problems", reader.config.words.scale)}  # fmt: skip
    for (part, (name, scale)), member in itertools.product(families.items(), GSIL):
        spin, own = (_first_path(reader, part, loss) for loss in ("spin", member))
        setting = f"{name}, {member}, scale {scale:g}"
        higher = [at_equal_fall(a, b) for a, b in paired(own, spin)]
        yield reader.judge("S5.3a", setting, higher)
        falls = [(a[1, -1] - b[1, -1]) / b[1, -1] for a, b in paired(own, spin)]
        yield reader.judge("S5.3b", setting, falls)
        yield reader.judge("S5.3c", setting, [path[0, -1] for path in own.values()])


def _first_path(reader: Reader, part: str, loss: str) -> dict[int, np.ndarray]:
    """Seed -> drifts of the first iteration in nats per token of a demonstration."""
    keys = {"part": part, "loss": loss, "decoding": "sampled"}
    found = paths(reader.table, iteration=1, **keys)
    if part == "lm":
        tokens = dict.fromkeys(found, reader.config.runs.response_tokens)
    else:
        sizes = values(reader.table, "tokens_real", iteration=0, **keys)
        tokens = {seed: size[0] for seed, size in sizes.items()}
    return {seed: path / tokens[seed] for seed, path in found.items()}


def _shifts(reader: Reader) -> Rows:
    """S5.4: what a positive shift does to both sides."""
    places = [(part, member) for part in ("drain source", "drain") for member in GSIL]
    for part, member in (*places, ("lm scale", DRAINED)):
        rows = shifted(select(reader.table, part=part, loss=member))
        setting = f"{PART_NAMES[part]}, {member}"
        for name, keys in (("all positive shifts", {}), ("released setting", RELEASED)):
            falls = []
            for _, own in select(rows, **keys).groupby("seed"):
                falls.append(-own["drift"].to_numpy(float).max())
            yield reader.judge("S5.4a", f"{setting}, {name}", falls)
        both = [
            own[["target", "drift"]].to_numpy(float) for _, own in rows.groupby("seed")
        ]
        yield reader.judge("S5.4b", setting, both, statistic=rank_correlation)


PART_NAMES = {
    "drain source": "tabular from the source", "drain": "tabular", "lm scale": "lm"
}  # fmt: skip


def _weights(reader: Reader) -> Rows:
    """S5.5 and S5.6a: the balance at the start, and how weights are bounded."""
    for member in MEMBERS:
        error = select(reader.table, metric="balance_error", loss=member)["value"]
        note = "no real weight at a shift of 2" if member == "hinge" else ""
        yield reader.judge("S5.5", member, error.tolist(), note=note)
    for member in GSIL:
        error = select(reader.table, metric="bound_error", loss=member)[
            "value"
        ].tolist()
        yield reader.judge("S5.6a", member, error)


def _divergence(reader: Reader) -> Rows:
    """S5.6b, c: spread over samples, and runs that end far away."""
    last = _last(reader, "sampled")
    spreads, shares = {}, {}
    for member in GSIL:
        keys = {"part": "sampled", "loss": member, "scale": 1.0}
        end = values(reader.table, "kl_data_policy", iteration=last, **keys)
        start = values(reader.table, "kl_data_policy", iteration=0, **keys)
        spreads[member] = {seed: np.log(x.std(ddof=1)) for seed, x in end.items()}
        shares[member] = _diverged(start, end)
    setting = f"tabular, {reader.config.tabular.demonstrations} demonstrations"
    yield reader.judge("S5.6b", setting, _over_widest(spreads))
    yield reader.judge("S5.6c", setting, _over_widest(shares))
    start = values(reader.table, "kl_data_policy", part="lm", loss="sft", iteration=0)
    found = {}
    for member in GSIL:
        keys = {"part": "lm scale", "loss": member, "scale": 1.0, "shift": 0.0}
        end = values(reader.table, "kl_data_policy", **keys)
        found[member] = _diverged(start, end)
    yield reader.judge("S5.6c", "lm", _over_widest(found))


def _diverged(start: Mapping, end: Mapping) -> dict[int, np.ndarray]:
    """Share of runs that end far from the source, or nowhere."""
    common = sorted(set(start) & set(end))
    return {seed: np.mean(~(end[seed] <= start[seed] + DIVERGED)) for seed in common}


def _over_widest(found: Mapping[str, Mapping[int, np.ndarray]]) -> list[float]:
    """LSIF less the largest of the other members, by seed."""
    others = [part for member, part in found.items() if member != "lsif"]
    return [float(own - max(rest)) for own, *rest in paired(found["lsif"], *others)]


def _iterations(reader: Reader) -> Rows:
    """S5.7: the way over the iterations, and none from the source."""
    scales = reader.config.tabular.sampled_scales
    for loss, scale in itertools.product(PLAYERS, scales):
        setting = f"tabular, {loss}, scale {scale:g}"
        keys = {"loss": loss, "scale": scale, "shift": 0.0, "decoding": "sampled"}
        found = values(reader.table, "kl_data_policy", part="exact", **keys)
        yield reader.judge("S5.7a", setting, _orders(found), statistic=rank_correlation)
        end = values(reader.table, "kl_data_policy", part="source", **keys)
        yield reader.judge("S5.7b", setting, [x[-1] for x in end.values()])
    for loss in PLAYERS:
        setting = f"lm, {loss}, scale {reader.config.runs.scale:g}"
        keys = {"loss": loss, "decoding": "sampled"}
        found = values(reader.table, "kl_data_policy", part="lm", **keys)
        yield reader.judge("S5.7a", setting, _orders(found), statistic=rank_correlation)
        end = values(reader.table, "kl_data_policy", part="lm source", **keys)
        yield reader.judge("S5.7b", setting, [x[-1] for x in end.values()])
    for (part, name), loss in itertools.product(WORD_PARTS.items(), PLAYERS):
        setting = f"{name}, {loss}, scale {reader.config.words.scale:g}"
        found = values(reader.table, "kl_data_policy", part=part, loss=loss)
        yield reader.judge("S5.7a", setting, _orders(found), statistic=rank_correlation)


def _orders(found: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """[iterations, 2] number of the iteration and how far KL has fallen."""
    return [
        np.stack([np.arange(len(kl)), -np.round(kl, TIES)], axis=-1)
        for kl in found.values()
    ]


def _pairs(reader: Reader) -> Rows:
    """S5.8: DIL beside SimPO and DPO on corrupted pairs."""
    found = {
        loss: paths(reader.table, part="lm pairs", loss=loss)
        for loss in (*DIL, "simpo", "dpo")
    }
    rules = {
        "equal update norm": lambda a, b: a[0, -1] - b[0, -1],
        "equal margin": at_equal_margin,
    }
    for loss, (rule, compare) in itertools.product(DIL, rules.items()):
        contrasts = {
            f"over {other}": [
                compare(a, b) for a, b in paired(found[loss], found[other])
            ]
            for other in ("simpo", "dpo")
        }
        yield reader.judge("S5.8", f"lm, {loss}, {rule}", contrasts)


def _decoding(reader: Reader) -> Rows:
    """S5.9: entropy after greedy and after sampled negatives."""
    cases = [
        (f"tabular, {loss}, scale {scale:g}", "exact", loss, scale)
        for loss, scale in itertools.product(
            PLAYERS, reader.config.tabular.sampled_scales
        )
    ]
    scale = reader.config.runs.scale
    cases += [(f"lm, {loss}, scale {scale:g}", "lm", loss, scale) for loss in PLAIN]
    for setting, part, loss, scale in cases:
        keys = {"part": part, "loss": loss, "scale": scale, "shift": 0.0}
        keys["iteration"] = _last(reader, part)
        both = [
            values(reader.table, "entropy", decoding=decoding, **keys)
            for decoding in ("greedy", "sampled")
        ]
        yield reader.judge(
            "S5.9", setting, [float(a[0] - b[0]) for a, b in paired(*both)]
        )


PARTS: tuple[Callable[[Reader], Rows], ...] = (
    _better, _optimum, _sides, _shifts, _weights, _divergence, _iterations, _pairs,
    _decoding, answers, margins,
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
