"""The simulation: what each scheme's pair is worth, judge by judge.

Metrics, means over the pools of a seed: `best_rate` (the chosen one is the best),
`regret` (best utility less the chosen's), `pair_gap` (utility of chosen less rejected),
`mislabel` (share of pairs with the worse one chosen), `calls`.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from analyses.common.rows import Row, row
from analyses.preference_pipeline.config import Judging
from analyses.preference_pipeline.judges import (
    DISTORTIONS,
    TAILS,
    Judge,
    Pools,
    compare,
    make_pools,
    scores,
)
from analyses.preference_pipeline.schemes import (
    REJECTED_RULES,
    Picked,
    by_scores,
    max_and_min,
    random_pair,
    round_robin,
    running_winner,
    swiss,
)

GAP_BINS = 10


def selection_rows(config: Judging, seed: int) -> Iterator[Row]:
    """All parts of the simulation under one seed."""
    rng = np.random.default_rng([seed, 30])
    settings = [(config.candidates, tau) for tau in (config.tau, *config.other_taus)]
    settings += [(m, config.tau) for m in config.other_candidates]
    for candidates, tau in settings:
        pools = make_pools(config.pools, candidates, rng)
        keys = {"part": "matched", "candidates": candidates, "tau": tau, "seed": seed}
        for picked, names in _every_scheme(pools, tau, config, rng):
            yield from _metrics(pools, picked, **names, **keys)
    pools = make_pools(config.pools, config.candidates, rng)
    for part in (_order_bias, _ties, _cycles, _distortions):
        yield from part(pools, config, rng, seed)


def _metrics(pools: Pools, picked: Picked, **keys: object) -> Iterator[Row]:
    rows, u = np.arange(pools.shape[0]), pools.utilities
    chosen, rejected = u[rows, picked.chosen], u[rows, picked.rejected]
    best = u.max(1)
    values = {
        "best_rate": chosen == best,
        "regret": best - chosen,
        "pair_gap": chosen - rejected,
        "mislabel": chosen < rejected,
        "calls": picked.calls,
    }
    for metric, value in values.items():
        yield row(metric, value.mean(), **keys)


def _every_scheme(
    pools: Pools, tau: float, config: Judging, rng: np.random.Generator
) -> Iterator[tuple[Picked, dict[str, str]]]:
    """Each scheme on one judge without faults but noise, shown in random order."""
    one = compare(pools, Judge(tau), rng)
    votes = compare(pools, Judge(tau), rng, votes=3)
    both = compare(pools, Judge(tau), rng, orders="both")
    for rule in REJECTED_RULES:
        picked = running_winner(one, rng, rejected=rule)
        yield picked, {"scheme": "running winner", "rejected": rule}
    lowest = {"rejected": "lowest"}
    for name, answers in (("best of 3 votes", votes), ("both orders", both)):
        picked = running_winner(answers, rng, rejected="second pass")
        yield picked, {"scheme": name, "rejected": "second pass"}
    yield max_and_min(one), {"scheme": "max and min", **lowest}
    yield swiss(one, rng), {"scheme": "Swiss", **lowest}
    yield round_robin(one), {"scheme": "round robin", **lowest}
    for repeats, tail in itertools.product(config.repeats, TAILS):
        given = scores(pools, tau, rng, repeats=repeats, tail=tail)
        scheme = f"scores x {repeats}, tail {tail}"
        picked = by_scores(given, rng, repeats=repeats)
        yield picked, {"scheme": scheme, **lowest}
        if repeats == 1:
            picked = by_scores(given, rng, rejected="random other")
            yield picked, {"scheme": scheme, "rejected": "random other"}
    picked = random_pair(*pools.shape, rng)
    yield picked, {"scheme": "random pair", "rejected": "random other"}


def _order_bias(pools: Pools, config: Judging, rng, seed: int) -> Iterator[Row]:
    schemes: dict[str, Callable] = {
        "running winner": lambda answers: running_winner(answers, rng),
        "max and min": max_and_min,
        "round robin": round_robin,
    }
    for bias in config.biases:
        for orders in ("fixed", "random", "both"):
            answers = compare(pools, Judge(config.tau, bias), rng, orders=orders)
            for name, scheme in schemes.items():
                yield from _metrics(
                    pools, scheme(answers), part="order bias", scheme=name,
                    orders=orders, amount=bias, tau=config.tau, seed=seed,
                )  # fmt: skip


def _ties(pools: Pools, config: Judging, rng, seed: int) -> Iterator[Row]:
    for threshold in config.thresholds:
        for ties in ("keep", "coin", "ask"):
            judge = Judge(config.tau, threshold=threshold)
            answers = compare(pools, judge, rng, ties=ties)
            for name, picked in (
                ("running winner", running_winner(answers, rng)),
                ("max and min", max_and_min(answers)),
            ):
                yield from _metrics(
                    pools, picked, part="ties", scheme=name, rejected=ties,
                    amount=threshold, tau=config.tau, seed=seed,
                )  # fmt: skip


def _cycles(pools: Pools, config: Judging, rng, seed: int) -> Iterator[Row]:
    for cycle in config.cycles:
        answers = compare(pools, Judge(config.tau, cycle=cycle), rng)
        for name, picked in (
            ("running winner", running_winner(answers, rng)),
            ("max and min", max_and_min(answers)),
            ("round robin", round_robin(answers)),
        ):
            yield from _metrics(
                pools, picked, part="cycles", scheme=name, amount=cycle,
                tau=config.tau, seed=seed,
            )  # fmt: skip


def _distortions(pools: Pools, config: Judging, rng, seed: int) -> Iterator[Row]:
    """Scores that are distorted; the judge is not, but where it shares the taste."""
    for name in (*DISTORTIONS, "shared length"):
        for strength in config.strengths:
            keys = {
                "part": name, "amount": strength, "tau": config.tau, "seed": seed,
            }  # fmt: skip
            taste = strength if name == "shared length" else 0.0
            answers = compare(pools, Judge(config.tau, taste=taste), rng)
            kind = "length" if name == "shared length" else name
            pairwise = max_and_min(answers)
            yield from _metrics(pools, pairwise, scheme="max and min", **keys)
            for tail in TAILS:
                given = scores(
                    pools, config.tau, rng, tail=tail, distortion=kind,
                    strength=strength,
                )  # fmt: skip
                scored, scheme = by_scores(given, rng), f"scores x 1, tail {tail}"
                yield from _metrics(pools, scored, scheme=scheme, **keys)
                found = gap_matched_regret(pools, scored, pairwise)
                yield row("matched_regret_gain", found, scheme=scheme, **keys)


def gap_matched_regret(pools: Pools, one: Picked, other: Picked) -> float:
    """Regret of `one` less that of `other`, where their pair gaps are as large.

    Pools are binned by pair gap (deciles of both together); each bin counts with the
    fewer pools of the two, so that the gaps are distributed alike.
    """
    rows, u = np.arange(pools.shape[0]), pools.utilities
    gaps, regrets = [], []
    for picked in (one, other):
        chosen = u[rows, picked.chosen]
        gaps.append(chosen - u[rows, picked.rejected])
        regrets.append(u.max(1) - chosen)
    edges = np.quantile(np.concatenate(gaps), np.linspace(0, 1, GAP_BINS + 1)[1:-1])
    bins = [np.digitize(gap, edges) for gap in gaps]
    total, weight = 0.0, 0
    for place in range(GAP_BINS):
        inside = [r[b == place] for r, b in zip(regrets, bins, strict=True)]
        count = min(map(len, inside))
        if count:
            total += count * (inside[0].mean() - inside[1].mean())
            weight += count
    return total / weight
