"""Losses on the scored pairs: their values at step 0, and their gradients."""

from collections.abc import Iterator, Sequence

import numpy as np

from gradlab.comparison.weighing import LossWeights, weigh
from gradlab.doctor.findings import Finding, Limits, judged
from gradlab.errors import GradlabError
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.losses import BoundLoss, resolve

STEP_ZERO = Limits(1e-6, 1e-3)
CLOSED_FORM = Limits(1e-9, 1e-6)


def step_zero(scored: ScoredPairs) -> Finding:
    """Policy and reference are the same model, scored in two passes.

    DPO's margins are 0 and its loss is log 2, but for what differs between the passes.
    """
    (weights,) = weigh(scored, [resolve("dpo")])
    away = float(np.max(np.abs(weights.values - np.log(2))))
    sums = [(side.logps - side.ref_logps).sum(1) for side in _sides(scored)]
    margin = float(np.max(np.abs(sums[0] - sums[1])))
    text = f"DPO's loss is log 2 up to {away:.1e}; largest margin, in nats"
    return judged("step 0", max(margin, away), STEP_ZERO, text)


def loss_findings(
    scored: ScoredPairs, losses: Sequence[BoundLoss]
) -> Iterator[Finding]:
    """One finding for each loss: automatic differentiation beside the closed form."""
    for loss in losses:
        name = f"loss {loss.label}"
        try:
            (found,) = weigh(scored, [loss])
        except GradlabError as error:
            yield Finding(name, "FAIL", str(error))
            continue
        yield _gradient(name, found, scored)


def _gradient(name: str, found: LossWeights, scored: ScoredPairs) -> Finding:
    for side, arrays in zip(SIDES, _sides(scored), strict=True):
        if found.weights[side][~arrays.mask].any():
            text = f"a token of {side} outside the mask has a weight; expected 0"
            return Finding(name, "FAIL", text)
    if np.isnan(found.closed_form_error):
        return Finding(name, "ok", "finite; no closed form is known")
    text = "token weights by automatic differentiation and by the closed form"
    return judged(name, found.closed_form_error, CLOSED_FORM, text)


def _sides(scored: ScoredPairs):
    return scored.chosen, scored.rejected
