"""Gradients of single pairs and single tokens: norms, Gram matrices, sketches.

    g_i = g^c_i + g^r_i,    g^c_i = sum_t w^c_{i,t} grad l^c_{i,t},    g^r_i likewise

is the gradient of pair i's own loss, not divided by the number of pairs.

Everything runs over chunks of `microbatch` pairs, so that never more gradients exist at
once, whatever the number of pairs. All functions work under `jax.jit`, which is also
what makes them fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError, LossInputError
from gradlab.gradients.groups import parameter_groups
from gradlab.gradients.sides import (
    PairLogpsFn,
    SideGradients,
    SideProducts,
    pullbacks,
    side_products,
)
from gradlab.gradients.token import value_and_token_weights
from gradlab.losses.resolve import resolve
from gradlab.types import Array, LossFn, PairLogps, Params

BatchLogpsFn = Callable[[Params, Any], tuple[Array, Array]]
# (params, data of b pairs) -> (chosen [b, T], rejected [b, T']), in nats


def score_sum(pairs: PairLogps) -> Array:
    """S_c + S_r, [B]: as a loss it makes g_c and g_r the score gradients of the sides.

    Its token weights are 1, so g_c = grad log p(chosen) and g_r = grad log p(rejected).
    """
    sides = ((pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask))
    return sum(
        (jnp.sum(jnp.where(m > 0, x, 0.0), axis=-1) for x, m in sides),
        jnp.zeros(()),
    )


def pair_products(
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    params: Params,
    data: Any,
    pairs: PairLogps,
    *,
    groups: Sequence[str] | None = None,
    microbatch: int = 8,
    **hyper: Any,
) -> tuple[Array, SideProducts]:
    """Loss, norms and inner product of the two parts of every pair's own gradient.

    Args:
      loss: anything that `gradlab.losses.resolve` takes, if it couples no pairs; with
        `score_sum` the parts are the score gradients.
      logps_fn: (params, data of b pairs) -> (chosen [b, T], rejected [b, T']).
      params: any pytree of float arrays.
      data: a pytree of arrays with leading axis B: whatever `logps_fn` reads.
      pairs: masks and reference of the B pairs, as in `side_gradients`.
      groups: one name per leaf, from `parameter_groups`; None: its default.
      microbatch: pairs whose gradients exist at once.
      **hyper: the loss's hyperparameters.

    Returns:
      (values [B], `SideProducts` of [B, G] arrays). `total_norm` is the gradient norm
      of each pair's own loss, before any clipping and not divided by B.

    Raises:
      LossInputError: the loss couples the pairs of a batch, so that a pair has no
        gradient of its own.

    Guarantees:
      At most `microbatch` pairs' gradients exist at once. The result does not depend on
      the microbatch, on the order of the pairs or on padding.
    """
    names = parameter_groups(params) if groups is None else tuple(groups)

    def of_pair(bound: LossFn, model: PairLogpsFn, given: Callable):
        logps, pull_chosen, pull_rejected = pullbacks(model, params)
        values, weights = value_and_token_weights(bound, given(logps))
        gradients = SideGradients(
            values, pull_chosen(weights.chosen), pull_rejected(weights.rejected)
        )
        return values[0], side_products(gradients, names)

    return map_items(of_pair, loss, logps_fn, params, data, pairs, microbatch, hyper)


def map_items(
    of_pair: Callable[[LossFn, PairLogpsFn, Callable], Any],
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    params: Params,
    data: Any,
    pairs: PairLogps,
    microbatch: int,
    hyper: dict[str, Any],
) -> Any:
    """Maps a function of one pair over the batch, `microbatch` pairs at a time."""
    check_microbatch(microbatch)
    bound, items, call = bind_items(loss, logps_fn, data, pairs, hyper)
    return jax.lax.map(
        lambda item: of_pair(bound, *call(item)), items, batch_size=microbatch
    )


def check_microbatch(microbatch: int) -> None:
    """Refuses what isn't a positive integer."""
    if not isinstance(microbatch, int) or microbatch < 1:
        raise GradlabError(f"microbatch is {microbatch!r}, expected an integer >= 1")


def bind_items(
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    data: Any,
    pairs: PairLogps,
    hyper: dict[str, Any],
) -> tuple[LossFn, Any, Callable]:
    """The bound loss, the items to map over, and what an item stands for.

    Returns:
      (loss, items with leading axis B, item -> (its model function, logps -> its
      `PairLogps`)).

    Raises:
      LossInputError: the loss couples the pairs of a batch.
      GradlabError: data whose leading axis isn't that of the pairs.
    """
    bound = resolve(loss, **hyper)
    if bound.couples_batch:
        raise LossInputError(
            f"loss '{bound.label}' couples the pairs of a batch, so that a single pair "
            "has no gradient of its own; use side_gradients for the batch, or a "
            "setting of the loss that does not couple"
        )
    count = pairs.chosen_mask.shape[0]
    for leaf in jax.tree.leaves(data):
        if jnp.ndim(leaf) < 1 or leaf.shape[0] != count:
            raise GradlabError(
                f"data: an array of shape {jnp.shape(leaf)}, expected the leading axis "
                f"of {count} pairs that the masks have"
            )

    def call(item):
        one, rest = jax.tree.map(lambda leaf: leaf[None], item)

        def given(logps: tuple[Array, Array]) -> PairLogps:
            shared = pairs.kl_logratios
            return replace(
                rest, chosen=logps[0], rejected=logps[1], kl_logratios=shared
            )

        return (lambda theta: logps_fn(theta, one)), given

    # All but the log-ratios that the pairs share, and the logps that are computed.
    own = replace(pairs, chosen=None, rejected=None, kl_logratios=None)  # type: ignore
    return bound, (data, own), call
