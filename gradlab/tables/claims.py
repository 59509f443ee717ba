"""Claims of a study: what is claimed, the rule that decides, and the verdict.

    type          effect                  reproduced              contradicted
    X identity    largest error           at most e               above 100 e somewhere
    S sign        E, claimed positive     low > 0 and E >= e      high < 0
    Q equality    E, claimed near 0       low and high in +-e     both beyond e
    O ordering    rank correlation        low > 0 and E >= e      high < 0
    H shape       several contrasts       each as in S            one as in S, reversed

Everything else is inconclusive, and "contradicted" means: in this setting. Seeds are
the unit of replication, so [low, high] is the 95 % Student-t interval of the seeds'
effects; S, O and H also want one sign in four of five seeds. The hierarchical bootstrap
(seeds, then prompts within each) is stored beside it and decides nothing: with few
seeds its interval is too narrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.tables.intervals import (
    DRAWS,
    LEVEL,
    Estimate,
    Samples,
    Statistic,
    estimate,
    holm,
    prompt_mean,
)

ClaimType = Literal["X", "S", "Q", "O", "H"]

CLAIM_COLUMNS = (
    "claim_id", "setting", "type", "effect", "e", "n_seeds", "ci_low", "ci_high",
    "boot_low", "boot_high", "p_holm", "sign_agreement", "verdict", "matching_rule",
    "paper", "source_tag", "source_checked", "survives_holm", "note",
)  # fmt: skip
VERDICTS = (
    "reproduced", "contradicted", "inconclusive", "not testable", "skipped",
    "no verdict",
)  # fmt: skip
SAME_SIGN = 0.8  # of the seeds: four of five


@dataclass(frozen=True)
class Claim:
    """One line of a study's ledger, fixed before the run.

    Attributes:
      id: such as "S6.4".
      statement: what is claimed, in one line.
      type: the kind of claim, which chooses the rule of the module's head.
      e: tolerance (X), margin (Q), least rank correlation (O), or smallest effect of
        interest (S and H).
      source_tag: where it was seen: A abstract, I opening, C code, T full text, 2
        second hand, U user report, D derived here, P own pilot.
      source_checked: whether a person compared it with the full source.
      matching_rule: how losses were made comparable, such as "equal update norm".
      paper: arXiv number of where it was seen; empty for an own derivation.
    """

    id: str
    statement: str
    type: ClaimType
    e: float
    source_tag: str
    source_checked: bool = False
    matching_rule: str = ""
    paper: str = ""

    def __post_init__(self) -> None:
        """Refuses what no rule could decide."""
        if self.type not in get_args(ClaimType) or not self.e >= 0:
            raise GradlabError(
                f"claim {self.id}: type {self.type!r} and e {self.e!r}, expected one "
                f"of {', '.join(get_args(ClaimType))} and a number from 0"
            )


def judge(
    claim: Claim,
    setting: str,
    samples: Samples | Mapping[str, Samples],
    *,
    statistic: Statistic = prompt_mean,
    one_model: bool = False,
    boot: tuple[float, float] | None = None,
    note: str = "",
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """The verdict on a claim in one setting, as a row of the claims table.

    Args:
      claim: with its rule.
      setting: what the verdict is about: data, model, loss, optimiser.
      samples: as in `estimate`, oriented so that the claim predicts a positive effect;
        for X the errors; for H one such list per contrast, by name.
      statistic: as in `estimate`; not read for X.
      one_model: all seeds share one pretrained model: the verdict says so, and with one
        seed the bootstrap over prompts decides.
      boot: a bootstrap interval that was computed elsewhere.
      note: kept in the row.
      draws: of the bootstrap.
      seed: of the bootstrap.

    Returns:
      A row for `claims_table`. One seed gives "no verdict" but for X and `one_model`;
      an effect that isn't a number gives "not testable".

    Example:
      >>> claim = Claim("T.1", "heads are likelier", "S", e=0.1, source_tag="D")
      >>> row = judge(claim, "coins", [0.2, 0.3, 0.25, 0.2, 0.3])
      >>> row["verdict"], row["sign_agreement"]
      ('reproduced', 1.0)
    """
    if claim.type == "X":
        return _judge_identity(claim, setting, samples, note)
    contrasts = samples if isinstance(samples, Mapping) else {"": samples}
    found = {
        name: estimate(part, statistic, draws=draws, seed=seed)
        for name, part in contrasts.items()
    }
    verdict = _decide(claim, list(found.values()), one_model)
    name, role = _telling(claim, found, verdict)
    shown = found[name]
    if len(found) > 1:
        parts = "; ".join(f"{key}: {x.effect:.3g}" for key, x in found.items())
        note = "; ".join(filter(None, (note, f"{role}: {name}", parts)))
    low, high = boot or (shown.boot_low, shown.boot_high)
    return _row(claim, setting, verdict, note) | {
        "effect": shown.effect,
        "n_seeds": shown.n_seeds,
        "ci_low": shown.low,
        "ci_high": shown.high,
        "boot_low": low,
        "boot_high": high,
        "p": max(x.p for x in found.values()) if claim.type != "Q" else np.nan,
        "sign_agreement": shown.sign_agreement,
    }


def undecided(claim: Claim, setting: str, verdict: str, note: str) -> dict[str, Any]:
    """The row of a claim that wasn't measured: "skipped" or "not testable", and why."""
    if verdict not in ("skipped", "not testable") or not note:
        raise GradlabError(
            f"claim {claim.id}: verdict {verdict!r} and note {note!r}, expected "
            "'skipped' or 'not testable', and the reason"
        )
    return _row(claim, setting, verdict, note)


def _judge_identity(claim: Claim, setting: str, errors: Any, note: str) -> dict:
    values = np.concatenate([np.ravel(np.asarray(e, float)) for e in errors])
    largest = float(np.max(np.abs(values))) if values.size else np.nan
    if not np.isfinite(largest):
        verdict = "not testable"
    elif largest <= claim.e:
        verdict = "reproduced"
    else:
        verdict = "contradicted" if largest > 100 * claim.e else "inconclusive"
    row = _row(claim, setting, verdict, note)
    return row | {"effect": largest, "n_seeds": len(errors)}


def _decide(claim: Claim, found: list[Estimate], one_model: bool) -> str:
    if any(not np.isfinite(x.effect) for x in found):
        return "not testable"
    if any(x.n_seeds == 1 for x in found) and not one_model:
        return "no verdict"
    suffix = " (one model)" if one_model else ""
    if claim.type == "Q":
        (low, high), e = _ends(found[0]), claim.e
        beyond = low > e or high < -e
        verdict = "reproduced" if -e <= low and high <= e else "inconclusive"
        return ("contradicted" if beyond else verdict) + suffix
    if any(_falls(claim, x) for x in found):
        return "contradicted" + suffix
    holds = all(_holds(claim, x) for x in found)
    return ("reproduced" if holds else "inconclusive") + suffix


def _ends(found: Estimate) -> tuple[float, float]:
    """The deciding interval: the bootstrap's where one model has one seed."""
    if found.n_seeds == 1:
        return found.boot_low, found.boot_high
    return found.low, found.high


def _holds(claim: Claim, found: Estimate) -> bool:
    return (
        _ends(found)[0] > 0
        and found.effect >= claim.e
        and found.sign_agreement >= SAME_SIGN
    )


def _falls(claim: Claim, found: Estimate) -> bool:
    clear = -found.effect >= claim.e and found.sign_agreement >= SAME_SIGN
    return _ends(found)[1] < 0 and (clear or claim.type != "H")


def _telling(
    claim: Claim, found: Mapping[str, Estimate], verdict: str
) -> tuple[str, str]:
    """The contrast to be seen, and its role: one that contradicts, or the weakest.

    Each contrast must hold, so that the weakest stands for all; to contradict one is
    enough, and it need not be the weakest.
    """
    weakest = min(found, key=lambda name: _strength(found[name]))
    against = [name for name, x in found.items() if _falls(claim, x)]
    if not verdict.startswith("contradicted") or weakest in against or not against:
        return weakest, "weakest"
    return min(against, key=lambda name: _strength(found[name])), "against it"


def _strength(found: Estimate) -> float:
    return found.low if np.isfinite(found.low) else found.effect


def _row(claim: Claim, setting: str, verdict: str, note: str) -> dict[str, Any]:
    return {
        "claim_id": claim.id,
        "setting": setting,
        "type": claim.type,
        "e": claim.e,
        "verdict": verdict,
        "matching_rule": claim.matching_rule,
        "paper": claim.paper,
        "source_tag": claim.source_tag,
        "source_checked": "yes" if claim.source_checked else "no",
        "note": note,
    }


def claims_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """All verdicts of a study, with p-values adjusted by Holm's method.

    Args:
      rows: from `judge` and `undecided`.

    Returns:
      `CLAIM_COLUMNS`; p_holm of S, O and H claims, over all of them in the study. The
      verdict uses the unadjusted interval; survives_holm says whether p_holm <= .05.

    Raises:
      GradlabError: the same claim twice in one setting.
    """
    table = pd.DataFrame(list(rows)).reindex(columns=[*CLAIM_COLUMNS, "p"])
    twice = np.flatnonzero(table.duplicated(["claim_id", "setting"]))
    if len(twice):
        row = table.iloc[int(twice[0])]
        raise GradlabError(
            f"claim {row['claim_id']} is judged twice in the setting {row['setting']!r}"
        )
    adjusted = holm(table["p"].to_numpy(float))
    answers = np.where(adjusted <= 1 - LEVEL, "yes", "no")
    table["p_holm"] = adjusted
    table["survives_holm"] = np.where(np.isfinite(adjusted), answers, "")
    return table.reindex(columns=list(CLAIM_COLUMNS)).astype({"n_seeds": "Int64"})
