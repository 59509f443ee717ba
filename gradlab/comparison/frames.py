"""The two tables of a comparison: one row per token and loss, one row per loss."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from gradlab.comparison.weighing import LossWeights
from gradlab.errors import GradlabError
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.measures import REGIONS, PairRegions, pair_regions

TokenTexts = Callable[[Sequence[int]], list[str]]


def regions_of(scored: ScoredPairs) -> list[PairRegions]:
    """The partition of every pair at its first difference.

    Raises:
      GradlabError: the responses of a pair are the same.
    """
    found = []
    for number, row in enumerate(scored.rows):
        one, two = (
            side.ids[number][side.mask[number]]
            for side in (scored.chosen, scored.rejected)
        )
        try:
            found.append(pair_regions(one, two))
        except GradlabError as error:
            raise GradlabError(f"pair {number} (row {row}): {error}") from error
    return found


def _side_frame(
    scored: ScoredPairs, side: str, regions: Sequence[PairRegions], texts: TokenTexts
) -> pd.DataFrame:
    arrays = getattr(scored, side)
    mask = arrays.mask
    pair, position = np.nonzero(mask)
    return pd.DataFrame(
        {
            "pair": pair.astype(np.int32),
            "row": scored.rows[pair].astype(np.int64),
            "side": pd.Categorical.from_codes(
                np.full(len(pair), SIDES.index(side)), list(SIDES)
            ),
            "position": position.astype(np.int32),
            "token_id": arrays.ids[mask].astype(np.int32),
            "token": _texts(arrays.ids, mask, texts),
            "region": pd.Categorical.from_codes(
                np.concatenate([getattr(r, side) for r in regions]), list(REGIONS)
            ),
            "logp": arrays.logps[mask],
            "ref_logp": arrays.ref_logps[mask],
            "entropy": arrays.entropy[mask],
            "max_logp": arrays.max_logp[mask],
            "log_sum_sq": arrays.log_sum_sq[mask],
        }
    )


def _texts(ids: np.ndarray, mask: np.ndarray, texts: TokenTexts) -> list[str]:
    # Responses are decoded one by one: what a token adds can depend on those before.
    rows = zip(ids, mask, strict=True)
    return [text for row, inside in rows for text in texts(row[inside].tolist())]


def token_frame(
    scored: ScoredPairs, regions: Sequence[PairRegions], texts: TokenTexts
) -> pd.DataFrame:
    """What is known of every response token before any loss looks at it.

    Args:
      scored: the pairs.
      regions: their partitions.
      texts: token ids of one response -> the text that each token adds.

    Returns:
      One row per pair, side and position: pair, row, side, position, token_id, token,
      region, logp, ref_logp, entropy, max_logp, log_sum_sq (nats).
    """
    sides = [_side_frame(scored, side, regions, texts) for side in SIDES]
    return pd.concat(sides, ignore_index=True).astype({"token": "category"})


def with_loss(
    frame: pd.DataFrame,
    scored: ScoredPairs,
    weights: LossWeights,
    labels: Sequence[str],
) -> pd.DataFrame:
    """The rows of one loss in the tokens table.

    Args:
      frame: the result of `token_frame`.
      scored: the pairs.
      weights: of the loss.
      labels: all losses of the table, so that the column has one set of categories.

    Returns:
      `frame` with loss, weight (dL/dlogp, loss per nat) and logit_grad_norm.
    """
    code = labels.index(weights.loss.label)
    masks = [getattr(scored, side).mask for side in SIDES]

    def flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([arrays[s][m] for s, m in zip(SIDES, masks, strict=True)])

    return frame.assign(
        loss=pd.Categorical.from_codes(np.full(len(frame), code), list(labels)),
        weight=flat(weights.weights),
        logit_grad_norm=flat(weights.logit_norms),
    )


def summary_frame(
    scored: ScoredPairs, regions: Sequence[PairRegions], weighed: Iterable[LossWeights]
) -> pd.DataFrame:
    """One row per loss.

    Columns:
      value: mean loss over pairs.
      mass_chosen, mass_rejected: mean over pairs of the response's sum of |w|.
      ratio_bad_good: mass_rejected / mass_chosen.
      share_before, share_at, share_after: where the mass of both sides lies, before, at
        and after the first differing token; they add up to 1.
      corr_length: Pearson correlation between a response's mass and its length, over
        the responses of both sides; NaN where the mass is constant.
      closed_form_error: see `LossWeights`.
      coupled: whether pairs couple through the batch; weights are then B times the
        derivative of the batch mean.
    """
    firsts = np.array([r.first for r in regions])[:, None]
    return pd.DataFrame([_summary_row(scored, firsts, weights) for weights in weighed])


def _summary_row(
    scored: ScoredPairs, firsts: np.ndarray, weights: LossWeights
) -> dict[str, object]:
    mass, length, before, at = {}, {}, 0.0, 0.0
    for side in SIDES:
        absolute = np.abs(weights.weights[side])
        position = np.arange(absolute.shape[1])
        before += float(absolute[position < firsts].sum())
        at += float(absolute[position == firsts].sum())
        mass[side] = absolute.sum(1)
        length[side] = getattr(scored, side).mask.sum(1)
    total = sum(float(m.sum()) for m in mass.values())
    share = (lambda x: x / total) if total else (lambda x: np.nan)
    good, bad = mass["chosen"].mean(), mass["rejected"].mean()
    return {
        "loss": weights.loss.label,
        "pairs": len(weights.values),
        "value": weights.values.mean(),
        "mass_chosen": good,
        "mass_rejected": bad,
        "ratio_bad_good": bad / good if good else np.nan,
        "share_before": share(before),
        "share_at": share(at),
        "share_after": share(total - before - at),
        "corr_length": _correlation(
            np.concatenate([mass[s] for s in SIDES]),
            np.concatenate([length[s] for s in SIDES]),
        ),
        "closed_form_error": weights.closed_form_error,
        "coupled": weights.loss.couples_batch,
    }


def _correlation(mass: np.ndarray, length: np.ndarray) -> float:
    """Pearson's r; NaN where one of the two doesn't vary beyond rounding."""
    for values in (mass, length):
        if len(values) < 2 or np.ptp(values) <= 1e-9 * np.abs(values).max(initial=0):
            return float("nan")
    return float(np.corrcoef(mass, length)[0, 1])
