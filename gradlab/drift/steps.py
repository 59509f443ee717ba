"""One step of each loss on all pairs, and everything that it moves.

u = u_c + u_r + rest        caused by chosen tokens, by rejected tokens, and by
                            neither (momentum, weight decay)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.comparison.weighing import LossWeights
from gradlab.drift.config import DriftConfig
from gradlab.drift.directions import Directions
from gradlab.drift.optimiser import build_optimiser, step_length
from gradlab.drift.own import (
    Scores,
    diagonal_of,
    influence_of,
    one_number,
    own_drifts,
)
from gradlab.drift.passes import Corpus, Sides
from gradlab.gradients import (
    Agreement,
    StepSplit,
    agreement,
    measurement_floor,
    split_step,
)
from gradlab.gradients.drift import apply_step
from gradlab.gradients.groups import tree_norm
from gradlab.inputs.scored import SIDES
from gradlab.measures import (
    CASES,
    Entanglement,
    entanglement,
)
from gradlab.types import Params

PASSES_PER_LOSS = 3  # over all batches, at most: gradient, drift, what really happens


@dataclass(frozen=True)
class LossStep:
    """One loss's step on the batch of all N pairs; drifts are [N, L] a side, in nats.

    Attributes:
      weights: the loss with its token weights.
      predicted: first-order drift of every token.
      by_chosen: its part caused by chosen tokens; None where the step has no split.
      by_rejected: its part caused by rejected tokens.
      carried: its part from momentum and weight decay.
      own: the part that each pair's own gradient causes in its own tokens.
      realised: the true change under the step.
      agreement: of predicted and realised, over all tokens.
      entanglement: of each pair's own part of the step.
      update_norm: Euclidean length of the step.
      cancellation: (||u_c|| + ||u_r||) / ||u||.
      undivided: why there is no split; None where there is.
    """

    weights: LossWeights
    predicted: Sides
    by_chosen: Sides | None
    by_rejected: Sides | None
    carried: Sides | None
    own: Sides | None
    realised: Sides
    agreement: Agreement
    entanglement: Entanglement | None
    update_norm: float
    cancellation: float
    undivided: str | None


def loss_steps(
    corpus: Corpus,
    params: Params,
    weighed: Sequence[LossWeights],
    scores: Scores,
    config: DriftConfig,
    evaluations: Sequence[Sides],
) -> Iterator[LossStep]:
    """One step of each loss from the same parameters.

    Args:
      corpus: the pairs.
      params: the policy's.
      weighed: token weights of every loss.
      scores: from `pair_scores`.
      config: the optimiser and its rate.
      evaluations: the same log-probs computed with other shapes, which shows their
        rounding.

    Yields:
      `LossStep`, loss by loss.
    """
    before = corpus.logps(params)
    floor = _floor([before, *evaluations])
    directions = Directions(corpus, params)
    for weights in weighed:
        yield _step(directions, weights, scores, config, before, floor)


def _step(
    directions: Directions, weights: LossWeights, scores, config, before, floor
) -> LossStep:
    corpus, params = directions.corpus, directions.params
    batch_weights = {side: weights.weights[side] / corpus.count for side in SIDES}
    optimiser = build_optimiser(config)
    split = split_step(
        optimiser,
        optimiser.init(params),
        params,
        directions.gradients(batch_weights),
        undivided="keep",
    )
    split = _of_length(split, step_length(config, params))
    moved = _drifts(directions, batch_weights, split)
    after = corpus.logps(apply_step(params, split.total))
    realised = {side: after[side] - before[side] for side in SIDES}
    own = own_drifts(corpus, params, batch_weights, split, scores)
    return LossStep(
        weights=weights,
        **moved,
        own=None if own is None else _total(list(own.values())),
        realised=realised,
        agreement=_agreement(moved["predicted"], realised, corpus.mask, floor),
        entanglement=None if own is None else entanglement(influence_of(own)),
        update_norm=float(tree_norm(split.total)),
        cancellation=split.cancellation,
        undivided=split.undivided,
    )


def _drifts(directions: Directions, weights: Sides, split: StepSplit) -> dict[str, Any]:
    """Predicted drift, whole and by cause."""
    corpus, params = directions.corpus, directions.params
    if split.undivided:
        whole = corpus.drifts(params, {"predicted": split.total})
        return whole | dict.fromkeys(("by_chosen", "by_rejected", "carried"))
    rest = jax.tree.map(jnp.add, split.momentum, split.decay)
    parts = {"carried": rest} if float(tree_norm(rest)) else {}
    rate = one_number(diagonal_of(split, params))
    if rate is None:
        parts |= {"by_chosen": split.chosen, "by_rejected": split.rejected}
    drifts = corpus.drifts(params, parts) if parts else {}
    if rate is not None:
        for cause, sides in directions.drifts(weights).items():
            drifts[f"by_{cause}"] = {side: rate * x for side, x in sides.items()}
    drifts.setdefault("carried", {s: np.zeros(m.shape) for s, m in corpus.mask.items()})
    return {"predicted": _total(list(drifts.values())), **drifts}


def _total(parts: Sequence[Sides]) -> Sides:
    return {side: np.sum([part[side] for part in parts], axis=0) for side in SIDES}


def _of_length(split: StepSplit, norm: float | None) -> StepSplit:
    """The same step, scaled to this length; a step of length 0 stays."""
    length = float(tree_norm(split.total))
    if norm is None or not length:
        return split
    factor = norm / length
    scaled = {
        name: jax.tree.map(lambda leaf: factor * leaf, value)
        for name in ("total", "chosen", "rejected", "momentum", "decay")
        if (value := getattr(split, name)) is not None
    }
    response = split.response
    if response is not None:
        scaled["response"] = _scaled(response, factor)
    return replace(split, **scaled)


def _scaled(response: Callable[[Params], Params], factor: float):
    return lambda g: jax.tree.map(lambda leaf: factor * leaf, response(g))


def _floor(evaluations: Sequence[Sides]) -> Sides:
    with jax.enable_x64(True):
        stacked = {s: jnp.stack([e[s] for e in evaluations]) for s in SIDES}
        return jax.tree.map(np.asarray, measurement_floor(stacked))


def _agreement(predicted, realised, mask, floor) -> Agreement:
    with jax.enable_x64(True):
        return agreement(predicted, realised, mask, floor)


def case_names(found: Entanglement) -> np.ndarray:
    """The name of each pair's case, [N]."""
    return np.array(CASES, dtype=object)[np.asarray(found.case)]
