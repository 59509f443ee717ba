"""From the study's table to the verdicts on its claims, and nothing but the table."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader, columns, falls
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.curves import UNRELATED
from analyses.drift_prediction.ledger_of_claims import CLAIMS
from analyses.drift_prediction.pair_kinds import SYNTHETIC
from gradlab.tables import claims_table, rank_correlation, undecided

Rows = Iterator[dict[str, Any]]
PRETRAINED = ("arithmetic", "hh", "blimp", "persona")


def _agreement(reader: Reader) -> Rows:
    kinked = reader.config.losses_with_kinks()
    smooth = [loss for loss in reader.config.losses if loss not in kinked]
    for kind, eta in itertools.product(reader.config.kinds, reader.config.steps):
        for claim, losses in (("S6.0", smooth), ("S6.0k", kinked)):
            keys = {"kind": kind, "eta": eta}
            found = reader.by_seed("pearson", loss=losses, part="", **keys)
            samples = [values.min() - 0.99 for values in found]
            ends = [
                reader.by_seed(f"min_pearson_{end}", **keys) for end in ("low", "high")
            ]
            boot = None
            if all(ends) and claim == "S6.0":
                boot = tuple(float(end[0][0]) - 0.99 for end in ends)
            setting = f"step {eta:g}, {len(losses)} losses"
            yield reader.judge(claim, setting, samples, kind=kind, boot=boot)


def _order(reader: Reader) -> Rows:
    targets = {"rel_err": 1, "trap_err": 2, "residual": 2, "trap_residual": 3}
    for kind, losses in (
        ("edits", reader.config.losses), ("arithmetic", reader.config.some_losses)
    ):  # fmt: skip
        slopes = [reader.by_seed(f"slope_{metric}", kind=kind) for metric in targets]
        wanted = np.array(list(targets.values()))
        found = [values - wanted for values in columns(*slopes)]
        setting = f"{len(losses)} losses x sgd, rmsprop, adamw"
        yield reader.judge("S6.1", setting, found, kind=kind)


def _ches(reader: Reader) -> Rows:
    drift = reader.by_seed("subset_drift", kind="edits", part="ches", side="chosen")
    percentiles = [np.array(reader.config.runs.percentiles, float)] * len(drift)
    samples = columns(percentiles, falls(drift))
    yield reader.judge(
        "S6.2a", "subsets at percentiles", samples, kind="edits",
        statistic=rank_correlation,
    )  # fmt: skip
    for kind in reader.config.kinds:
        own = reader.by_seed("own_real", kind=kind, side="chosen", part="")
        measures = [
            reader.by_seed(metric, kind=kind)
            for metric in ("ches", "edit_norm", "last_cosine")
        ]
        samples = columns(measures[0], falls(own))
        yield reader.judge(
            "S6.2b", "own step", samples, kind=kind, statistic=rank_correlation
        )
        contrasts = {
            name: columns(measures[0], other, falls(own))
            for name, other in (
                ("over edit distance", measures[1]),
                ("over last-hidden cosine", measures[2]),
            )
        }
        yield reader.judge(
            "S6.2c", "own step", contrasts, kind=kind, statistic=_rank_gap
        )


def _rank_gap(values: np.ndarray) -> np.ndarray:
    """rho(first, last column) - |rho(second, last)|, [draws]."""
    one, two = (rank_correlation(values[..., [k, 2]]) for k in (0, 1))
    return one - np.abs(two)


def _conditions(reader: Reader) -> Rows:
    for kind in reader.config.kinds:
        wrong = reader.by_seed("sign_errors", kind=kind)
        compared = reader.by_seed("signs_compared", kind=kind)
        setting = f"{len(reader.config.losses)} losses"
        if kind not in SYNTHETIC:
            setting, (wrong, compared) = "dpo", _own_signs(reader, kind)
        samples = [
            np.array([w.sum() / c.sum()]) for w, c in zip(wrong, compared, strict=True)
        ]
        count = int(sum(c.sum() for c in compared))
        note = f"{count} signs compared"
        yield reader.judge("S6.3a", setting, samples, kind=kind, note=note)
    kappa = reader.by_seed("kappa_c", kind="edits", loss="dpo")
    drift = reader.by_seed("run_drift", kind="edits", side="chosen")
    yield reader.judge(
        "S6.3b", f"dpo, adamw, {reader.config.runs.ledger_steps} steps",
        columns(kappa, falls(drift)), kind="edits", statistic=rank_correlation,
    )  # fmt: skip


def _own_signs(reader: Reader, kind: str) -> tuple[list, list]:
    """Exceptions and comparisons of DPO's own steps, by seed."""
    wrong, compared = [], []
    keys = {"kind": kind, "part": ""}
    for pred, real, band in zip(
        reader.by_seed("own_pred", **keys),
        reader.by_seed("own_real", **keys),
        reader.by_seed("own_terms", **keys),
        strict=True,
    ):
        clear = np.abs(pred) > reader.config.sign_band * band
        wrong.append(clear & (np.sign(pred) != np.sign(real)))
        compared.append(clear)
    return wrong, compared


def _norms(reader: Reader) -> Rows:
    for kind in reader.config.kinds:
        larger = columns(
            reader.by_seed("score_rejected", kind=kind),
            reader.by_seed("score_chosen", kind=kind),
        )
        cases = reader.by_seed("case", kind=kind, part="")
        contrasts = {
            "rejected norm larger": [(x[:, 0] > x[:, 1]) - 0.5 for x in larger],
            "both fall over both rise": [
                (x == 2).astype(float) - (x == 3) for x in cases
            ],
        }
        yield reader.judge("S6.4", "dpo", contrasts, kind=kind)


def _suffix(reader: Reader) -> Rows:
    keys = {"kind": "suffix"}
    length = reader.by_seed("suffix_len", **keys)
    products = (
        reader.by_seed(f"score_{x}", **keys) for x in ("inner", "chosen", "rejected")
    )
    cosines = [i / np.sqrt(c * r) for i, c, r in zip(*products, strict=True)]
    own = reader.by_seed("own_real", side="chosen", part="", **keys)
    for claim, values in (("S6.5a", cosines), ("S6.5b", falls(own))):
        yield reader.judge(
            claim, "dpo, own step" if claim == "S6.5b" else "score gradients",
            columns(length, values), kind="suffix", statistic=rank_correlation,
        )  # fmt: skip


def _squeezing(reader: Reader) -> Rows:
    rising = reader.by_seed("argmax_fall", part="tabular")
    errors = reader.by_seed("formula_error", part="tabular")
    exact = [
        np.append(np.maximum(x, 0), e) for x, e in zip(rising, errors, strict=True)
    ]
    yield reader.judge("S6.6a", "softmax rows", exact)
    for part, setting, kind in (
        ("tabular", "softmax rows", ""), ("decoder", "decoder", "edits")
    ):  # fmt: skip
        samples = columns(
            reader.by_seed("top_before", part=part),
            reader.by_seed("absorbed", part=part),
        )
        yield reader.judge(
            "S6.6b", setting, samples, kind=kind, statistic=rank_correlation
        )
    yield reader.judge(
        "S6.6c", "decoder", reader.by_seed("log_top", part="decoder"), kind="edits"
    )
    falling = falls(reader.by_seed("log_rest", part="decoder"))
    yield reader.judge("S6.6d", "decoder", falling, kind="edits")


def _curves(reader: Reader) -> Rows:
    def final(probe: str) -> list[float]:
        return [curve[-1] for curve in reader.by_seed("probe_drift", probe=probe)]

    curves = reader.by_seed("probe_drift", probe="chosen")
    ends = [final(probe) for probe in UNRELATED]
    contrasts = {
        "peak strictly inside": [
            1.0 if 0 < curve.argmax() < len(curve) - 1 else -1.0 for curve in curves
        ],
        "peak to final over its null": [
            curve.max() - curve[-1] - _null_peak(curve) for curve in curves
        ],
        "rejected falls": [-end for end in final("rejected")],
        "unrelated falling, of 5, less 3.5": [
            sum(end < 0 for end in seeds) - 3.5 for seeds in zip(*ends, strict=True)
        ],
    }
    setting = f"dpo, {reader.config.runs.curve_steps} steps"
    yield reader.judge("S6.7", setting, contrasts, kind="arithmetic")


def _null_peak(curve: np.ndarray, draws: int = 1000) -> float:
    """Mean peak-to-final when the curve's increments come in random order."""
    rng = np.random.default_rng(0)
    steps = np.tile(np.diff(curve), (draws, 1))
    paths = np.cumsum(rng.permuted(steps, axis=1), axis=1)
    return float(np.mean(np.maximum(paths.max(1), 0) - paths[:, -1]))


def _self_shares(reader: Reader) -> Rows:
    for kind in reader.config.kinds:
        shares = reader.by_seed("self_share", kind=kind, optimiser="sgd")
        yield reader.judge("S6.8", "dpo, sgd", shares, kind=kind, statistic=_below_half)
    shares = reader.by_seed("self_share", kind="edits", optimiser="adamw")
    setting = "dpo, adamw, last step of the run"
    yield reader.judge("S6.8", setting, shares, kind="edits", statistic=_below_half)


def _below_half(values: np.ndarray) -> np.ndarray:
    return 0.5 - np.median(values, axis=1)


def _filtering(reader: Reader) -> Rows:
    for kind in ("edits", "arithmetic"):
        keys = {"kind": kind, "side": "chosen"}
        lowest = reader.by_seed("subset_drift", part="lowest", **keys)
        random = reader.by_seed("subset_drift", part="random", **keys)
        samples = [float(a[0] - b[0]) for a, b in zip(lowest, random, strict=True)]
        setting = f"dpo, {reader.config.runs.subset_steps} steps"
        yield reader.judge("S6.9", setting, samples, kind=kind)


def _features(reader: Reader) -> Rows:
    keys = {"kind": "answers", "part": "fixed features"}
    fixed = reader.by_seed("own_real", side="chosen", **keys)
    excess = reader.by_seed("entangled", **keys)
    broken = [np.maximum(x, 0) for x in columns(excess, falls(fixed))]
    yield reader.judge("S6.10a", "condition and own step", broken, kind="answers")
    own = [
        reader.by_seed("own_real", kind="answers", part="", side=side)
        for side in ("chosen", "rejected")
    ]
    samples = [c / (c - r) for c, r in zip(*own, strict=True)]
    yield reader.judge(
        "S6.10b", "own step", samples, kind="answers", statistic=_largest_fall
    )


def _largest_fall(values: np.ndarray) -> np.ndarray:
    return -values.min(axis=1)


def _stopping(reader: Reader) -> Rows:
    reason = "needs training runs with sampled utilities"
    yield undecided(CLAIMS["S6.11"], "length task", "skipped", reason)


def _concentration(reader: Reader) -> Rows:
    for kind in reader.config.kinds:
        keys = {"kind": kind, "loss": "dpo"}
        found, null = (
            reader.by_seed("top_share", **keys),
            reader.by_seed("top_share_null", **keys),
        )
        samples = [float(a[0] - b[0]) for a, b in zip(found, null, strict=True)]
        if samples or kind in reader.skipped:
            yield reader.judge("S6.12", "dpo", samples, kind=kind)
        else:
            reason = "responses too short for a top 5 % of their tokens"
            yield undecided(CLAIMS["S6.12"], f"{kind}, dpo", "not testable", reason)


def _ledger(reader: Reader) -> Rows:
    found = reader.by_seed("ledger_residual", kind="edits")
    samples = [0.1 - float(x[0]) for x in found]
    setting = f"dpo, adamw, {reader.config.runs.ledger_steps} steps"
    yield reader.judge("S6.13", setting, samples, kind="edits")


PARTS: tuple[Callable[[Reader], Rows], ...] = (
    _agreement, _order, _ches, _conditions, _norms, _suffix, _squeezing, _curves,
    _self_shares, _filtering, _features, _stopping, _concentration, _ledger,
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
    reader = Reader(table, config, CLAIMS, skipped, pretrained=PRETRAINED)
    return claims_table([row for part in PARTS for row in part(reader)])
