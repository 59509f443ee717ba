"""The verdicts on claims about judges and schemes."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from analyses.common.reading import Reader, columns
from analyses.preference_pipeline.judges import DISTORTIONS, TAILS

Rows = Iterator[dict[str, Any]]
STRENGTHS = (0.5, 1.0)  # of distortions, in sd of utility
NOISES = (0.25, 0.5, 1.0)
RANKINGS = {
    "running winner": "second pass",
    "max and min": "lowest",
    "Swiss": "lowest",
    "round robin": "lowest",
}


def _gains(reader: Reader, one: Mapping, other: Mapping, metric: str, **keys):
    """By seed: the metric of one scheme less that of the other."""
    first, second = (reader.by_seed(metric, **keys, **who) for who in (one, other))
    return [float(a[0] - b[0]) for a, b in zip(first, second, strict=True)]


def _distorted(reader: Reader) -> Rows:
    parts = (*DISTORTIONS, "shared length")
    for name, strength, tail in itertools.product(parts, STRENGTHS, TAILS):
        setting = f"{name}, strength {strength:g}, scores' tail {tail}"
        lost, plain = (_losses(reader, name, x, tail) for x in (strength, 0.0))
        for claim, samples in lost.items():
            # Noise that scores alone see is no distortion: what is there without one
            # is said, and the increase is judged beside the whole.
            alone = plain[claim]
            note = f"without distortion {np.mean(alone):+.3g}" if alone else ""
            yield reader.judge(claim, setting, samples, note=note)
            increase = [a - b for a, b in zip(samples, alone, strict=True)]
            yield reader.judge(claim, f"{setting}, increase", increase)


def _losses(reader: Reader, name: str, strength: float, tail: str):
    """What scores lose to comparisons under a distortion, by claim and seed."""
    scored, compared = f"scores x 1, tail {tail}", {"scheme": "max and min"}
    keys = {"part": name, "amount": strength}
    whole = {
        claim: _gains(reader, {"scheme": scored}, compared, metric, **keys)
        for claim, metric in (("S3.1a", "regret"), ("S3.1b", "mislabel"))
    }
    matched = reader.by_seed("matched_regret_gain", **keys, scheme=scored)
    return whole | {"S3.1c": [float(x[0]) for x in matched]}


def _matched(reader: Reader) -> Rows:
    judging = reader.config.judging
    noises = sorted({judging.tau, *judging.other_taus})
    for tau, tail in itertools.product(noises, TAILS):
        scored = {"scheme": f"scores x 1, tail {tail}", "rejected": "lowest"}
        keys = {"part": "matched", "candidates": judging.candidates, "tau": tau}
        setting = f"M = {judging.candidates}, noise {tau:g}, scores' tail {tail}"
        gain = _gains(reader, scored, {"scheme": "max and min"}, "regret", **keys)
        yield reader.judge("S3.1d", setting, gain)
        winner = {"scheme": "running winner", "rejected": "last loser"}
        found = _gains(reader, winner, scored, "best_rate", **keys)
        yield reader.judge("S3.9a", setting, found)
        gap = _gains(reader, scored, winner, "pair_gap", **keys)
        yield reader.judge("S3.9b", f"{setting}, scores", gap)
        if tail == TAILS[0]:
            second = {"scheme": "running winner", "rejected": "second pass"}
            gap = _gains(reader, second, winner, "pair_gap", **keys)
            setting = f"M = {judging.candidates}, noise {tau:g}, second pass"
            yield reader.judge("S3.9b", setting, gap)


def _at_equal_calls(reader: Reader) -> Rows:
    judging = reader.config.judging
    for tau, (name, rule), tail in itertools.product(NOISES, RANKINGS.items(), TAILS):
        keys = {"part": "matched", "candidates": judging.candidates, "tau": tau}
        who = {"scheme": name, "rejected": rule}
        setting = f"noise {tau:g}, {name}, scores' tail {tail}"
        for claim, metric in (("S3.2a", "regret"), ("S3.2b", "mislabel")):
            calls = reader.by_seed("calls", **keys, **who)
            own = reader.by_seed(metric, **keys, **who)
            curves = [
                columns(
                    reader.by_seed("calls", **keys, **scored),
                    reader.by_seed(metric, **keys, **scored),
                )
                for scored in (
                    {"scheme": f"scores x {k}, tail {tail}", "rejected": "lowest"}
                    for k in judging.repeats
                )
            ]
            samples = [
                float(_interpolated(np.concatenate(curve), n[0]) - value[0])
                for *curve, n, value in zip(*curves, calls, own, strict=True)
            ]
            note = f"{np.mean(calls):.3g} calls" if calls else ""
            yield reader.judge(claim, setting, samples, note=note)


def _interpolated(curve: np.ndarray, calls: float) -> float:
    """What scoring has at so many calls, linear in their logarithm, from [k, 2]."""
    return float(np.interp(np.log(calls), np.log(curve[:, 0]), curve[:, 1]))


def _order_bias(reader: Reader) -> Rows:
    for bias in reader.config.judging.biases:
        if not bias:
            continue
        keys = {"part": "order bias", "amount": bias, "scheme": "running winner"}
        random, fixed, both = (
            reader.by_seed("regret", orders=orders, **keys)
            for orders in ("random", "fixed", "both")
        )
        for claim, other in (("S3.10a", fixed), ("S3.10b", both)):
            gain = [float(a[0] - b[0]) for a, b in zip(random, other, strict=True)]
            yield reader.judge(claim, f"bias {bias:g}", gain)


SELECTION_PARTS: tuple[Callable[[Reader], Rows], ...] = (
    _distorted, _matched, _at_equal_calls, _order_bias,
)  # fmt: skip
