"""From the study's table to the verdicts on its claims, and nothing but the table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader, columns
from analyses.gradient_framework.config import (
    DPO_EXMATE,
    DPO_MLE,
    STAGES,
    Config,
    Setting,
)
from analyses.gradient_framework.ledger_of_claims import CLAIMS
from gradlab.tables import claims_table, undecided

Rows = Iterator[dict[str, Any]]
MARGIN = "equal train margin"
BATCH = ("exmate(reduction=batch, lam=0.05)", "mle(reduction=batch)")
MEAN = ("exmate(lam=1)", "mle(reduction=mean)")
TOKEN = ("exmate(reduction=token, lam=1)", "mle")
REAL = ("hh", "chatterbot")
STAGED = (", then ".join(STAGES[1]), ", then ".join(STAGES[0]))
# reading -> (DPO with ExMATE, DPO with MLE)
WITH: Mapping[str, tuple[str, str]] = {
    **{
        f"sum, gamma {gamma:g}": (
            DPO_EXMATE.format(gamma=gamma), DPO_MLE.format(gamma=gamma)
        )
        for gamma in (0.1, 1)
    },
    "stage": STAGED,
}  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """Two losses compared in a setting.

    Attributes:
      name: of the setting.
      loss: under test.
      baseline: beside it.
      keys: of the rows of both.
      kind: hh or chatterbot, where that is the data.
    """

    name: str
    loss: str
    baseline: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""

    def values(self, reader: Reader, metric: str) -> list[np.ndarray]:
        """[loss, baseline] of every seed; none where one of them has no rows."""
        pair = [
            reader.by_seed(metric, loss=loss, **self.keys)
            for loss in (self.loss, self.baseline)
        ]
        if len(pair[0]) != len(pair[1]):
            return []
        return [np.array([a[0], b[0]]) for a, b in zip(*pair, strict=True)]

    def gains(self, reader: Reader, metric: str) -> list[float]:
        """Loss less baseline, by seed."""
        return [float(a - b) for a, b in self.values(reader, metric)]

    def shares(self, reader: Reader, metric: str, sign: int = 1) -> list[float]:
        """The same relative to the baseline, in the good direction."""
        return [float(sign * (a - b) / b) for a, b in self.values(reader, metric)]

    def judge(self, reader: Reader, claim: str, samples: Any, what: str = "") -> dict:
        """The verdict; a setting of equal margin says so."""
        name = f"{self.name}, {what}" if what else self.name
        found = reader.judge(claim, name, samples, kind=self.kind)
        if self.keys.get("matching") == "margin":
            found["matching_rule"] = MARGIN
        return found


def _keys(setting: Setting, matching: str = "rate", **more: Any) -> dict[str, Any]:
    given = {"rho": setting.rho, "false_neg": setting.false_neg, "baseline": ""}
    return {**given, "kind": "g2", "model": "decoder", "matching": matching} | more


def _matched(loss: str, baseline: str, name: str, config: Config) -> Contrast:
    keys = _keys(config.main, "margin", baseline=baseline)
    return Contrast(f"{name}, {MARGIN}", loss, baseline, keys)


def _real(kind: str, losses: tuple[str, str], name: str) -> Contrast:
    keys = {"kind": kind, "model": "stories260K", "matching": "rate"}
    return Contrast(f"stories260K, {name}", *losses, keys, kind)


def _exmates(config: Config) -> Iterator[Contrast]:
    """Every setting in which ExMATE stands beside MLE, but the released one."""
    for lam in (0.05, 0.2, 1):
        loss, keys = f"exmate(lam={lam:g})", _keys(config.main)
        yield Contrast(f"decoder, mean, lambda {lam:g}", loss, MEAN[1], keys)
    yield _matched(*MEAN, "decoder, mean, lambda 1", config)
    yield Contrast("decoder, token, lambda 1", *TOKEN, _keys(config.main))
    for setting in config.others:
        for form, losses in (("mean", MEAN), ("token", TOKEN)):
            name = f"decoder, {form}, lambda 1, {setting.name}"
            yield Contrast(name, *losses, _keys(setting))
    for lam in config.sweep_lams:
        keys = _keys(config.main, model="log-linear")
        name, loss = f"log-linear, mean, lambda {lam:g}", f"exmate(lam={lam:g})"
        yield Contrast(name, loss, MEAN[1], keys)
    for kind in REAL:
        yield _real(kind, MEAN, "mean, lambda 1")


def _released(config: Config) -> Iterator[Contrast]:
    name = "batch mean, lambda .05"
    yield Contrast(f"decoder, {name}", *BATCH, _keys(config.main))
    for kind in REAL:
        yield _real(kind, BATCH, name)


def _surrogate(reader: Reader) -> Rows:
    for contrast in _exmates(reader.config):
        yield contrast.judge(reader, "S1.1a", contrast.gains(reader, "agility"))
        yield contrast.judge(reader, "S1.1b", contrast.gains(reader, "ce_pos"))


def _with_dpo(reader: Reader) -> Iterator[Contrast]:
    config = reader.config
    for name, losses in WITH.items():
        yield Contrast(name, *losses, _keys(config.main))
        if name != "sum, gamma 0.1":
            yield _matched(*losses, name, config)


def _metrics(reader: Reader) -> Rows:
    for contrast in _with_dpo(reader):
        for metric, what, sign in (
            ("distinct2", "distinct-2", 1), ("slot_acc", "slot accuracy", 1),
            ("ce_pos", "CE of good", -1),
        ):  # fmt: skip
            samples = contrast.shares(reader, metric, sign)
            yield contrast.judge(reader, "S1.2", samples, what)
    for kind in REAL:
        contrast = _real(kind, WITH["sum, gamma 1"], "sum, gamma 1")
        samples = contrast.shares(reader, "ce_pos", -1)
        yield contrast.judge(reader, "S1.2", samples, "CE of good")


def _wins(reader: Reader) -> Rows:
    for contrast in _with_dpo(reader):
        keys = {**contrast.keys, "baseline": contrast.baseline}
        found = reader.by_seed("oracle_win", loss=contrast.loss, **keys)
        samples = [float(share[0]) - 0.5 for share in found]
        yield contrast.judge(reader, "S1.3", samples, "exact scorer")
    reason = "no judge model is at hand; small models write nothing that one could rank"
    yield undecided(CLAIMS["S1.3"], "LLM judge", "not testable", reason)


def _diversity(reader: Reader) -> Rows:
    config = reader.config
    g2 = [
        next(_released(config)),
        Contrast("decoder, mean, lambda 1", *MEAN, _keys(config.main)),
    ]
    g2.append(_matched(*MEAN, "decoder, mean, lambda 1", config))
    real = [_real(kind, BATCH, "batch mean, lambda .05") for kind in REAL]
    for contrast in [*g2, *real]:
        yield contrast.judge(reader, "S1.4a", contrast.gains(reader, "agility"))
    for contrast in [*g2, *real]:
        samples = {
            f"distinct-{n}": contrast.shares(reader, f"distinct{n}") for n in (1, 2)
        }
        yield contrast.judge(reader, "S1.4b", samples)


def _support(reader: Reader) -> Rows:
    keys = {"kind": "g2", "model": "decoder, fresh"}
    mle = reader.by_seed("off_support", loss="mle", **keys)
    for loss in ("unlikelihood_token", TOKEN[0]):
        other = reader.by_seed("off_support", loss=loss, **keys)
        samples = _log_ratios(mle, other)
        yield reader.judge("S1.5a", f"{loss}, fresh weights, mean over n", samples)
    contrast = Contrast(
        "exmate(lam=1), from the reference", *MEAN, _keys(reader.config.main)
    )
    samples = [float(np.log(b / a)) for a, b in contrast.values(reader, "off_support")]
    yield contrast.judge(reader, "S1.5a", samples)
    sizes = reader.config.sizes
    masses = columns(
        *(reader.by_seed("off_support", loss="mle", size=n, **keys) for n in sizes)
    )
    slopes = [float(np.polyfit(np.log(sizes), np.log(x[0]), 1)[0]) for x in masses]
    name = f"mle, fresh weights, n {min(sizes)}-{max(sizes)}" if sizes else "mle"
    yield reader.judge("S1.5b", name, slopes)


def _log_ratios(one: Sequence[np.ndarray], two: Sequence[np.ndarray]) -> list[float]:
    """Mean log ratio of every seed."""
    if len(one) != len(two):
        return []
    return [float(np.mean(np.log(a / b))) for a, b in zip(one, two, strict=True)]


def _identities(reader: Reader) -> Rows:
    for claim, part in (("S1.6", "S1.6"), ("S1.7a", "S1.7"), ("S1.8", "S1.8")):
        errors = reader.by_seed("error", part=part, kind="exact")
        yield reader.judge(claim, "token weights", errors)
    errors = reader.by_seed("error", part="S1.8", kind="parameters")
    yield reader.judge("S1.8", "decoder, parameter gradient without the prefix", errors)
    errors = reader.by_seed("error", part="S1.9", kind="exact")
    yield reader.judge("S1.9", f"{reader.config.rows} softmax rows of 20", errors)
    losses = ("exmate(reduction=sum, lam=1)", "mle")
    contrast = Contrast("decoder", *losses, _keys(reader.config.main))
    yield contrast.judge(reader, "S1.7b", contrast.gains(reader, "ce_pos"))


def _ends(reader: Reader) -> Rows:
    def path(metric: str, loss: str) -> list[np.ndarray]:
        return reader.by_seed(metric, loss=loss, **keys)

    last, keys = reader.config.tabular_steps, {"kind": "tabular"}
    steps = f"{last} SGD steps"
    drifts = [x - x[0] for x in path("prefix_logp", "dpo")]
    yield reader.judge("S1.10a", steps, drifts)
    mate = "mate(reduction=sum, lam=0.5)"
    half, end = (
        Contrast("", mate, TOKEN[0], at).values(reader, "S_rejected")
        for at in ({**keys, "step": last // 2}, {**keys, "step": last})
    )
    falls = [start - stop for start, stop in zip(half, end, strict=True)]
    yield reader.judge(
        "S1.10b", f"lambda .5, {steps}", [float(a - b) for a, b in falls]
    )
    gaps = path("prefix_gap", "unlikelihood_token")
    yield reader.judge("S1.10c", f"alpha 1, {steps}", gaps)
    ends = Contrast("", *TOKEN, {**keys, "step": last})
    gaps = ends.gains(reader, "S_chosen")
    masses = ends.values(reader, "p_bad")
    contrasts = {
        "fit, half a nat less the gap": [0.5 - abs(gap) for gap in gaps],
        "log ratio of bad masses": [float(np.log(b / a)) for a, b in masses],
    }
    yield reader.judge("S1.10d", f"token, lambda 1, {steps}", contrasts)


def _coefficient(reader: Reader) -> Rows:
    for contrast in _released(reader.config):
        yield contrast.judge(reader, "S1.11a", contrast.gains(reader, "ce_pos"))
        yield contrast.judge(reader, "S1.11b", contrast.gains(reader, "agility"))


def _condition(reader: Reader) -> Rows:
    wrong = reader.by_seed("sign_errors", kind="g2")
    compared = reader.by_seed("signs_compared", kind="g2")
    samples = [
        np.array([w.sum() / c.sum()]) for w, c in zip(wrong, compared, strict=True)
    ]
    note = f"{int(sum(c.sum() for c in compared))} signs compared"
    setting = f"decoder, {len(reader.config.condition_losses)} losses, float64"
    yield reader.judge("S1.12a", setting, samples, note=note)
    thresholds = reader.by_seed("threshold", kind="g2")
    ratios = reader.by_seed("ratio", kind="g2", loss="exmate(reduction=sum, lam=1)")
    both = zip(thresholds, ratios, strict=True) if ratios else []
    gaps = [float(np.log(t.min() / r.max())) for t, r in both]
    yield reader.judge("S1.12b", "decoder, at the common start", gaps)


PARTS: tuple[Callable[[Reader], Rows], ...] = (
    _surrogate, _metrics, _wins, _diversity, _support, _identities, _ends,
    _coefficient, _condition,
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
    reader = Reader(table, config, CLAIMS, skipped, pretrained=REAL)
    return claims_table([row for part in PARTS for row in part(reader)])
