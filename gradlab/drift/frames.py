"""The three tables of a drift analysis: per token, per pair, per loss."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gradlab.drift.own import Scores
from gradlab.drift.passes import Sides
from gradlab.drift.steps import LossStep, case_names
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.measures import CASES, PairEdits, case_shares, pair_edits

DRIFTS = ("predicted", "by_chosen", "by_rejected", "carried", "own", "realised")
PREDICTORS = ("edit_token", "ches", "ln_ches", "last_hidden_cosine", "score_cosine")
SUMMED = ("predicted", "by_chosen", "by_rejected", "own", "realised")


def edits_of(scored: ScoredPairs, texts: Mapping[str, Sequence[str]]) -> list:
    """How alike the two responses of every pair are.

    Args:
      scored: the pairs.
      texts: side -> the text of each response.
    """
    rows = []
    for n in range(len(scored.rows)):
        ids = {}
        for side in SIDES:
            arrays = getattr(scored, side)
            ids[side] = arrays.ids[n][arrays.mask[n]].tolist()
        rows.append(
            pair_edits(
                ids["chosen"],
                ids["rejected"],
                chosen_text=texts["chosen"][n],
                rejected_text=texts["rejected"][n],
            )
        )
    return rows


def with_step(
    frame: pd.DataFrame, scored: ScoredPairs, step: LossStep, labels: Sequence[str]
) -> pd.DataFrame:
    """The rows of one loss in the tokens table.

    Args:
      frame: the result of `gradlab.comparison.frames.token_frame`.
      scored: the pairs.
      step: of the loss.
      labels: all losses of the table, so that the column has one set of categories.

    Returns:
      `frame` with loss, weight (dL/dlogp of the pair's loss), logit_grad_norm and
      `DRIFTS` (nats).
    """
    code = labels.index(step.weights.loss.label)
    columns = {name: _flat(getattr(step, name), scored) for name in DRIFTS}
    return frame.assign(
        loss=pd.Categorical.from_codes(np.full(len(frame), code), list(labels)),
        weight=_flat(step.weights.weights, scored),
        logit_grad_norm=_flat(step.weights.logit_norms, scored),
        **columns,
    )


def _flat(sides: Sides | None, scored: ScoredPairs) -> np.ndarray:
    masks = {side: getattr(scored, side).mask for side in SIDES}
    if sides is None:
        return np.full(sum(m.sum() for m in masks.values()), np.nan)
    return np.concatenate([sides[side][masks[side]] for side in SIDES])


def pair_frame(
    scored: ScoredPairs,
    edits: Sequence[PairEdits],
    likeness: Mapping[str, np.ndarray],
    scores: Scores,
) -> pd.DataFrame:
    """What is known of every pair whatever the loss.

    Returns:
      One row per pair: pair, row, the two lengths in tokens, edit_token,
      edit_character, edit_word (distances over the longer length), first (tokens before
      the first difference), suffix (shared at the end), ches, ln_ches,
      last_hidden_cosine, score_chosen, score_rejected (norms of the score gradients)
      and score_cosine.
    """
    kinds = {"edit_token": "token", "edit_character": "character", "edit_word": "word"}
    columns = {name: [getattr(e, kind) for e in edits] for name, kind in kinds.items()}
    return pd.DataFrame(
        {
            "pair": np.arange(len(edits)),
            "row": scored.rows,
            "chosen_length": scored.chosen.mask.sum(1),
            "rejected_length": scored.rejected.mask.sum(1),
            **columns,
            "first": [e.first for e in edits],
            "suffix": [e.suffix for e in edits],
            **likeness,
            "score_chosen": np.sqrt(np.asarray(scores.products.chosen)),
            "score_rejected": np.sqrt(np.asarray(scores.products.rejected)),
            "score_cosine": scores.cosine,
        }
    )


def with_sums(pairs: pd.DataFrame, step: LossStep) -> pd.DataFrame:
    """The rows of one loss in the pairs table.

    Columns beside those of `pair_frame`:
      loss, value: the loss of the pair.
      predicted_chosen, predicted_rejected: drift of the summed log-prob, nats; likewise
        realised_ and own_ (by the pair's own gradient alone).
      chosen_by_chosen, chosen_by_rejected, rejected_by_chosen, rejected_by_rejected: a
        side's predicted drift by its cause.
      case, kappa_chosen, kappa_rejected, margin_falls: of the pair's own part.
    """
    columns: dict[str, object] = {}
    for name in SUMMED:
        sides = getattr(step, name)
        for side in SIDES:
            total = np.nan if sides is None else sides[side].sum(1)
            swap = name.startswith("by_")
            columns[f"{side}_{name}" if swap else f"{name}_{side}"] = total
    found = step.entanglement
    if found is None:
        columns |= dict.fromkeys(("kappa_chosen", "kappa_rejected"), np.nan)
        columns |= {"case": "", "margin_falls": False}
    else:
        columns |= {
            "kappa_chosen": np.asarray(found.kappa_chosen),
            "kappa_rejected": np.asarray(found.kappa_rejected),
            "case": case_names(found),
            "margin_falls": np.asarray(found.margin_falls),
        }
    values = step.weights.values
    return pairs.assign(loss=step.weights.loss.label, value=values, **columns)


def summary_row(pairs: pd.DataFrame, step: LossStep) -> dict[str, object]:
    """One row per loss.

    Columns:
      update_norm, cancellation: of the step; undivided: why it has no split.
      share_falls, share_falls_low, share_falls_high: share of pairs whose chosen answer
        is predicted to fall, with its 95 % Wilson interval; realised_falls: really.
      the means over pairs of the sums in the pairs table.
      own_share: median of |own| / (|own| + |others|) on the chosen side.
      ideal, both_fall, both_rise, reversed, margin_falls: shares of pairs.
      rho_...: Spearman correlation of the predicted chosen drift with that column.
      pearson, spearman, relative_error, sign, slope, explained, below_floor: agreement
        of predicted and realised token drifts.
    """
    chosen = pairs["predicted_chosen"].to_numpy()
    low, high = _wilson(chosen < 0)
    means = {
        name: pairs[name].mean()
        for name in pairs.columns
        if name.endswith(("_chosen", "_rejected"))
        and not name.startswith(("kappa", "score"))
    }
    agreed = step.agreement
    return {
        "loss": step.weights.loss.label,
        "pairs": len(pairs),
        "value": pairs["value"].mean(),
        "update_norm": step.update_norm,
        "cancellation": step.cancellation,
        "share_falls": (chosen < 0).mean(),
        "share_falls_low": low,
        "share_falls_high": high,
        "realised_falls": (pairs["realised_chosen"] < 0).mean(),
        **means,
        "own_share": _own_share(pairs),
        **_shares(pairs),
        **{
            f"rho_{name}": _spearman(chosen, pairs[name].to_numpy())
            for name in PREDICTORS
        },
        "pearson": agreed.pearson,
        "spearman": agreed.spearman,
        "relative_error": agreed.relative_error,
        "sign": agreed.sign,
        "slope": agreed.slope,
        "explained": agreed.explained,
        "below_floor": agreed.below_floor,
        "tokens": agreed.tokens,
        "undivided": step.undivided or "",
    }


def _wilson(falls: np.ndarray) -> tuple[float, float]:
    shares = case_shares(np.where(falls, 2, 1))
    return shares["both fall"][1:]


def _own_share(pairs: pd.DataFrame) -> float:
    own = pairs["own_chosen"].to_numpy()
    others = np.abs(pairs["predicted_chosen"].to_numpy() - own)
    return float(pd.Series(np.abs(own) / (np.abs(own) + others)).median())


def _shares(pairs: pd.DataFrame) -> dict[str, float]:
    cases, falls = pairs["case"].to_numpy(), pairs["margin_falls"].to_numpy()
    known = bool((cases != "").all())
    names = {name: name.replace(" ", "_") for name in CASES[1:]}
    shares = {
        column: float((cases == name).mean()) if known else np.nan
        for name, column in names.items()
    }
    return {**shares, "margin_falls": float(falls.mean()) if known else np.nan}


def _spearman(one: np.ndarray, two: np.ndarray) -> float:
    """Rank correlation over pairs that have both; NaN where one doesn't vary."""
    first, second = pd.Series(one), pd.Series(two)
    if first.nunique() < 2 or second.nunique() < 2:
        return float("nan")
    return float(first.corr(second, method="spearman"))
