"""First-order drift of token log-probabilities under a parameter change u.

    predicted_t = <grad l_t(theta), u>         realised_t = l_t(theta + u) - l_t(theta)

One forward-mode product gives the prediction for every token at once, and products are
linear in u: what the chosen and the rejected tokens cause adds up exactly. The tokens
may be those of the batch or of any probe sequences; unit nat, positive: more likely.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.example import BatchLogpsFn, map_items
from gradlab.gradients.sides import PairLogpsFn, batch_scale, pullbacks
from gradlab.gradients.token import value_and_token_weights
from gradlab.types import Array, LossFn, PairLogps, PairWeights, Params

LogpsFn = Callable[[Params], Any]  # params -> any pytree of token log-probs


def predicted_drift(logps_fn: LogpsFn, params: Params, direction: Params) -> Any:
    """The first-order change of every token log-prob: one Jacobian-vector product.

    Args:
      logps_fn: params -> token log-probs: a `PairLogpsFn`, or any pytree of arrays, for
        instance those of probe sequences that are not in the batch.
      params: the parameters before the step.
      direction: the parameter change u, like params.

    Returns:
      Like the result of `logps_fn`, in nats.

    Raises:
      GradlabError: the model has a kernel without a forward-mode rule.

    Guarantees:
      Equals <VJP, u> for every token; linear in the direction. No Jacobian is held.

    Example:
      >>> predicted_drift(jnp.log, jnp.array([0.5]), jnp.array([0.1]))
      Array([0.2], dtype=float32)
    """
    return _forward(lambda: jax.jvp(logps_fn, (params,), (direction,))[1])


def split_drift(
    logps_fn: LogpsFn, params: Params, parts: Mapping[str, Params]
) -> dict[str, Any]:
    """The drift that each part of a step causes, and their sum under "total".

    The model itself runs once; each part costs one product, about two forward passes.

    Args:
      logps_fn: as in `predicted_drift`.
      params: the parameters before the step.
      parts: name -> parameter change, for instance `StepSplit.parts`.

    Returns:
      name -> drift like the result of `logps_fn`, in nats; and "total", their sum.

    Raises:
      GradlabError: no parts, a part named "total", or no forward-mode rule.
    """
    if not parts or "total" in parts:
        raise GradlabError(
            f"parts: {sorted(parts)}, expected one or more, none of them named 'total'"
        )

    # One forward-mode pass for all parts: they share what the model itself computes.
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts.values())
    moved = _forward(
        lambda: jax.vmap(lambda u: jax.jvp(logps_fn, (params,), (u,))[1])(stacked)
    )
    drifts = {
        name: jax.tree.map(lambda leaf, n=n: leaf[n], moved)
        for n, name in enumerate(parts)
    }
    total = jax.tree.map(lambda *leaves: sum(leaves), *drifts.values())
    return drifts | {"total": total}


def realised_drift(logps_fn: LogpsFn, params: Params, step: Params) -> Any:
    """The true change of every token log-prob under the step, in nats."""
    after, before = logps_fn(apply_step(params, step)), logps_fn(params)
    return jax.tree.map(jnp.subtract, after, before)


def trapezoid_drift(logps_fn: LogpsFn, params: Params, step: Params) -> Any:
    """The mean of the predictions at both ends of a step; third-order residual."""
    here = predicted_drift(logps_fn, params, step)
    there = predicted_drift(logps_fn, apply_step(params, step), step)
    return jax.tree.map(lambda x, y: (x + y) / 2, here, there)


def apply_step(params: Params, step: Params) -> Params:
    """params + step, in the dtype of the parameters."""
    return jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, step)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SelfDrift:
    """What each pair's own gradient does to its own tokens, in nats.

    Attributes:
      by_chosen: (chosen [B, T], rejected [B, T']) caused by the pair's chosen tokens.
      by_rejected: the same, caused by the pair's rejected tokens.
    """

    by_chosen: tuple[Array, Array]
    by_rejected: tuple[Array, Array]

    @property
    def total(self) -> tuple[Array, Array]:
        """The pair's whole influence on itself, (chosen [B, T], rejected [B, T'])."""
        return jax.tree.map(jnp.add, self.by_chosen, self.by_rejected)


def self_drift(
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    params: Params,
    data: Any,
    pairs: PairLogps,
    response: Callable[[Params], Params],
    *,
    batch_reduction: str = "mean",
    microbatch: int = 8,
    **hyper: Any,
) -> SelfDrift:
    """The drift of each pair by its own gradient; the rest of the batch does the rest.

    The influence of the other pairs is the batch's predicted drift less this one (and
    less momentum and decay, which belong to no pair).

    Args:
      loss: anything that `gradlab.losses.resolve` takes, if it couples no pairs.
      logps_fn: (params, data of b pairs) -> (chosen [b, T], rejected [b, T']).
      params: the parameters before the step.
      data: a pytree of arrays with leading axis B.
      pairs: masks and reference of the B pairs, as in `side_gradients`.
      response: gradient -> its part of the step, linear: `StepSplit.response`, or
        `lambda g: jax.tree.map(lambda x: -rate * x, g)` for plain SGD.
      batch_reduction: that of the training loss, "mean" or "sum".
      microbatch: pairs whose gradients exist at once.
      **hyper: the loss's hyperparameters.

    Returns:
      `SelfDrift`.

    Raises:
      LossInputError: the loss couples the pairs of a batch.
    """
    scale = batch_scale(batch_reduction, pairs.chosen_mask.shape[0])

    def of_pair(bound: LossFn, model: PairLogpsFn, given: Callable) -> SelfDrift:
        def weigh(logps: tuple[Array, Array]) -> PairWeights:
            weights = value_and_token_weights(bound, given(logps))[1]
            return jax.tree.map(lambda w: w * scale, weights)

        return _own_drift(model, params, weigh, response)

    return _forward(
        lambda: map_items(
            of_pair, loss, logps_fn, params, data, pairs, microbatch, hyper
        )
    )


def _own_drift(
    model: PairLogpsFn,
    params: Params,
    weigh: Callable[[tuple[Array, Array]], PairWeights],
    response: Callable[[Params], Params],
) -> SelfDrift:
    """One pair: its log-probs have the leading axis 1, the result has none."""
    (chosen, rejected), pull_chosen, pull_rejected = pullbacks(model, params)
    weights = weigh((chosen, rejected))
    steps = [
        response(pull_chosen(weights.chosen.astype(chosen.dtype))),
        response(pull_rejected(weights.rejected.astype(rejected.dtype))),
    ]
    # One forward-mode pass for both: they share what the model itself computes.
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)
    moved = jax.vmap(lambda step: jax.jvp(model, (params,), (step,))[1])(both)
    by_chosen, by_rejected = zip(*[side[:, 0] for side in moved], strict=True)
    return SelfDrift(by_chosen, by_rejected)


def _forward(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        raise GradlabError(
            "logps_fn: the model uses a custom kernel with a reverse-mode rule only, "
            "and drift needs forward mode; switch to the plain implementation (fused "
            "attention often has such a switch)"
        ) from error
