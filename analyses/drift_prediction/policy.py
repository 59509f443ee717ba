"""The policy of each kind, a few steps away from its reference, and its token weights.

The policy is the reference after a few DPO steps of fixed size on other pairs of the
same kind. So log-ratios are not 0, hinges and penalties are on for some pairs and off
for others, and losses that coincide at the reference no longer do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, pair_logps_fn, pair_stats
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pair_kinds import Kind
from gradlab.gradients import predicted_drift, value_and_token_weights
from gradlab.gradients.groups import tree_norm
from gradlab.inputs.scored import kept_tokens
from gradlab.types import Array, PairLogps, Params


@dataclass(frozen=True)
class Scene:
    """A kind with its policy: what every measurement starts from.

    Attributes:
      kind: pairs, model and reference.
      params: the policy.
      pairs: [N, R] log-probabilities of the pairs, with every field a loss may read.
      others: the same for the other pairs, [B, R].
      seed: of the study.
    """

    kind: Kind
    params: Params
    pairs: PairLogps
    others: PairLogps
    seed: int

    @property
    def logps_fn(self) -> Callable:
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        return pair_logps_fn(self.kind.model, self.kind.width)

    @property
    def size(self) -> float:
        """Norm of the policy's parameters: the unit of step sizes."""
        return float(_norm(self.params))

    def gradient(self, weights: Array, batch: int) -> Params:
        """Gradient of the mean over all pairs, from token weights [2, N, R].

        Taken in batches of one shape, so that no further one is compiled.
        """
        parts = [
            batch_gradient(
                self.logps_fn, self.params, self.kind.pairs.take(rows), weights[:, rows]
            )
            for rows in batches(len(self.kind.pairs), batch)
        ]
        return mean(parts)


def make_scene(kind: Kind, config: Config, seed: int) -> Scene:
    """Leads the policy away from the reference and scores the pairs with both."""
    params = kind.reference
    length = config.policy_step * _norm(params)
    logps_fn = pair_logps_fn(kind.model, kind.width)
    for _ in range(config.policy_steps):
        pairs = score(kind, params, kind.others, seed)
        weights = value_and_token_weights("dpo", pairs)[1]
        gradient = batch_gradient(
            logps_fn, params, kind.others, jnp.stack([weights.chosen, weights.rejected])
        )
        params = moved(params, gradient, -length / _norm(gradient))
    parts = [
        score(kind, params, kind.pairs.take(rows), seed)
        for rows in batches(config.pairs, config.batch)
    ]
    pairs = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    pairs = jax.tree.map(jnp.asarray, pairs)
    return Scene(kind, params, pairs, score(kind, params, kind.others, seed), seed)


def score(kind: Kind, params: Params, data: PairArrays, seed: int) -> PairLogps:
    """The log-probabilities under policy and reference, with all optional fields."""
    logps, squares = pair_stats(kind.model, params, data, kind.width)
    reference = pair_stats(kind.model, kind.reference, data, kind.width)[0]
    masks = data.mask(kind.width)
    keep = kept_tokens(np.asarray(masks[0]), np.asarray(masks[1]), seed)
    other = _mismatched(data)
    ratios = [
        pair_stats(kind.model, theta, other, kind.width)[0][0].sum(-1)
        for theta in (params, kind.reference)
    ]
    fields: dict[str, Array] = {"kl_logratios": ratios[0] - ratios[1]}
    for number, side in enumerate(("chosen", "rejected")):
        fields[side] = logps[number]
        fields[f"{side}_mask"] = masks[number]
        fields[f"ref_{side}"] = reference[number]
        fields[f"{side}_logsumsq"] = squares[number]
        fields[f"{side}_keep"] = jnp.asarray(keep[number], float)
    return PairLogps(**fields)


def _mismatched(data: PairArrays) -> PairArrays:
    """Each prompt with the chosen response of the next pair, cut where it must be."""
    tokens, start = np.asarray(data.chosen), np.asarray(data.start)
    count = np.asarray(data.chosen_length)
    mixed, lengths = np.zeros_like(tokens), np.zeros_like(count)
    for row, begin in enumerate(start):
        other = (row + 1) % len(start)
        response = tokens[other, start[other] : start[other] + count[other]]
        response = response[: tokens.shape[1] - begin]
        mixed[row, :begin] = tokens[row, :begin]
        mixed[row, begin : begin + len(response)] = response
        lengths[row] = len(response)
    return replace(data, chosen=jnp.asarray(mixed), chosen_length=jnp.asarray(lengths))


def batches(count: int, size: int) -> list[slice]:
    """The rows of each batch."""
    return [slice(start, start + size) for start in range(0, count, size)]


_norm = jax.jit(tree_norm)


@partial(jax.jit, static_argnames="logps_fn")
def batch_gradient(
    logps_fn: Callable, params: Params, data: PairArrays, weights: Array
) -> Params:
    """Gradient of the batch mean, from token weights [2, B, R]."""
    pull = jax.vjp(lambda theta: logps_fn(theta, data), params)[1]
    return pull(tuple(weights / len(data)))[0]


@jax.jit
def mean(trees: Sequence[Params]) -> Params:
    """The mean of parameter trees of one shape."""
    return jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *trees)


@partial(jax.jit, static_argnames="logps_fn")
def sum_changes(
    logps_fn: Callable, params: Params, data: PairArrays, step: Params
) -> Array:
    """First-order change of both sides' sums, [2, B]."""
    change = predicted_drift(lambda theta: logps_fn(theta, data), params, step)
    return jnp.stack([side.sum(-1) for side in change])


@jax.jit
def moved(params: Params, direction: Params, factor: Array | float) -> Params:
    """params + factor * direction."""
    return jax.tree.map(lambda p, u: p + factor * u, params, direction)


def all_weights(losses: Sequence[str], pairs: PairLogps, width: int) -> Array:
    """Token weights of every loss, [L, 2, B, R].

    Args:
      losses: specifications.
      pairs: [B, R].
      width: columns that the losses see: one width for all kinds compiles once.
    """
    columns = pairs.chosen.shape[-1]
    wide = jax.tree.map(
        lambda x: jnp.pad(x, ((0, 0), (0, width - columns))) if x.ndim == 2 else x,
        pairs,
    )
    return _weights(tuple(losses), wide)[..., :columns]


@partial(jax.jit, static_argnames="losses")
def _weights(losses: tuple[str, ...], pairs: PairLogps) -> Array:
    found = [value_and_token_weights(loss, pairs)[1] for loss in losses]
    return jnp.stack([jnp.stack([w.chosen, w.rejected]) for w in found])


def first(pairs: PairLogps, count: int) -> PairLogps:
    """The first pairs, with the log-ratios that they share."""
    return jax.tree.map(lambda leaf: leaf[:count], pairs)
