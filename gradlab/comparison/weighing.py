"""Token weights of many losses on the same scored pairs.

The weights need no model, so one pair of forward passes serves every loss. They are
computed in float64 on the CPU whatever scored the pairs: the arrays are small, and the
agreement with the closed forms then shows at machine precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from gradlab.errors import GradlabError
from gradlab.gradients import logit_gradient_norm, value_and_token_weights
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.losses import BoundLoss
from gradlab.types import PairLogps

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class LossWeights:
    """What one loss does to the tokens of N pairs.

    Attributes:
      loss: the loss.
      values: [N] loss of each pair.
      weights: side -> [N, L] dL/dlogp; negative raises the token.
      logit_norms: side -> [N, L] Euclidean norm of dL/dlogits.
      closed_form_error: largest |autodiff - closed form| / max(1, |closed form|), or
        NaN where no closed form is known.
    """

    loss: BoundLoss
    values: np.ndarray
    weights: dict[str, np.ndarray]
    logit_norms: dict[str, np.ndarray]
    closed_form_error: float


def weigh(
    scored: ScoredPairs, losses: Sequence[BoundLoss], *, seed: int = 0
) -> list[LossWeights]:
    """Weights of every loss on every token.

    Args:
      scored: the pairs.
      losses: resolved losses; those that couple pairs see all N as one batch.
      seed: of SamPO's draw.

    Returns:
      One `LossWeights` per loss, in order.

    Raises:
      GradlabError: a loss returns something else than one finite value per pair, or
        has a derivative that is not finite.
    """
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        pairs = scored.logps(seed=seed)
        return [_weigh_one(scored, pairs, loss) for loss in losses]


def _weigh_one(scored: ScoredPairs, pairs: PairLogps, loss: BoundLoss) -> LossWeights:
    values, weights = jax.jit(lambda p: value_and_token_weights(loss, p))(pairs)
    values = np.asarray(values)
    if values.shape != scored.rows.shape:
        raise GradlabError(
            f"loss '{loss.label}' returned shape {values.shape}; expected "
            f"{scored.rows.shape}, one value per pair"
        )
    _require_finite(values, f"loss '{loss.label}' is", scored)
    norms = {}
    for side in SIDES:
        masses = np.abs(np.asarray(getattr(weights, side))).sum(axis=-1)
        what = f"loss '{loss.label}' has a weight on {side} tokens that is"
        _require_finite(masses, what, scored)
        arrays = getattr(scored, side)
        norm = logit_gradient_norm(
            getattr(weights, side), getattr(pairs, side), arrays.log_sum_sq
        )
        norms[side] = np.asarray(norm)
    return LossWeights(
        loss=loss,
        values=values,
        weights={side: np.asarray(getattr(weights, side)) for side in SIDES},
        logit_norms=norms,
        closed_form_error=_closed_form_error(loss, pairs, weights),
    )


def _require_finite(values: np.ndarray, what: str, scored: ScoredPairs) -> None:
    """Refuses pairs [N] with a value that float32, as a model has it, can't hold."""
    finite = np.abs(values) <= LARGEST
    if finite.all():
        return
    pair = int(np.flatnonzero(~finite)[0])
    raise GradlabError(
        f"{what} {values[pair]} on pair {pair} (row {scored.rows[pair]}); expected "
        f"finite values, at most {LARGEST:.1e} in size"
    )


def _closed_form_error(loss: BoundLoss, pairs: PairLogps, weights) -> float:
    closed = loss.closed_form(pairs)
    if closed is None:
        return float("nan")
    gaps = []
    for side in SIDES:
        got, expected = getattr(weights, side), np.asarray(getattr(closed, side))
        gap = np.abs(np.asarray(got) - expected) / np.maximum(1.0, np.abs(expected))
        gaps.append(np.max(gap, initial=0.0))
    return float(max(gaps))
