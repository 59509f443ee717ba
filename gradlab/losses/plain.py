"""Losses as plain functions of arrays, for the training loops of others."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import LossInputError
from gradlab.losses.example import random_pairs
from gradlab.losses.resolve import BoundLoss, resolve
from gradlab.types import Array, LossFn, PairLogps

PlainLoss = Callable[..., Array]

# argument of a plain loss -> field of `PairLogps`; others bear the field's name
_LOGPS = {
    "chosen_logps": "chosen",
    "rejected_logps": "rejected",
    "ref_chosen_logps": "ref_chosen",
    "ref_rejected_logps": "ref_rejected",
}
_ARGUMENT = {name: argument for argument, name in _LOGPS.items()}
_TOKENS = ("chosen_mask", "rejected_mask", "chosen_logsumsq", "rejected_logsumsq",
           "chosen_keep", "rejected_keep")  # fmt: skip
_TRIED = 16  # pairs; a loss that reads tokens can't hide on all of them


def plain(loss: str | LossFn, **hyper: Any) -> PlainLoss:
    """A loss as a function of log-probabilities, without `PairLogps`.

    Args:
      loss: whatever `resolve` takes: a name, a specification, a function of pairs.
      **hyper: hyperparameters, fixed in the result.

    Returns:
      `f(chosen_logps, rejected_logps, ref_chosen_logps=None, ref_rejected_logps=None,
      *, chosen_mask=None, rejected_mask=None, ...) -> [B]`, the loss of each pair. Its
      derivative is by the policy's log-probabilities. They are in nats, of the
      responses alone, prompts left out:

      * with masks, the log-probabilities are those of tokens, [B, T] and [B, T'], and
        every loss can be had. Masked entries may hold anything.
      * without masks they are sums over responses, [B]. Only a loss that depends on
        nothing else takes them; one that reads tokens or lengths refuses.

      Losses that need more take it by keyword, as `PairLogps` names it:
      `chosen_logsumsq` and `rejected_logsumsq`, `chosen_keep` and `rejected_keep`,
      `kl_logratios`. The function may be transformed by jax at will.

    Raises:
      LossInputError: `resolve` refuses; called, the function raises it where an array
        is missing, or where sums aren't enough.

    Guarantees: equal to the loss of the library; on sums up to rounding, which takes
      the digits that two large sums share.

    Example:
      >>> dpo = plain("dpo", beta=0.1)
      >>> sums = jnp.array([-3.0]), jnp.array([-4.5])
      >>> dpo(*sums, jnp.array([-3.5]), jnp.array([-4.0])).round(4)
      Array([0.6444], dtype=float32)
    """
    bound = resolve(loss, **hyper)
    sums_are_enough = cache(lambda: takes_sums(bound))

    def function(
        chosen_logps: Array,
        rejected_logps: Array,
        ref_chosen_logps: Array | None = None,
        ref_rejected_logps: Array | None = None,
        *,
        chosen_mask: Array | None = None,
        rejected_mask: Array | None = None,
        **more: Array | None,
    ) -> Array:
        given = {
            "chosen": chosen_logps,
            "rejected": rejected_logps,
            "ref_chosen": ref_chosen_logps,
            "ref_rejected": ref_rejected_logps,
            "chosen_mask": chosen_mask,
            "rejected_mask": rejected_mask,
            **more,
        }
        return bound(_pairs(bound, given, sums_are_enough))

    function.__name__ = function.__qualname__ = f"plain({bound.label})"
    return function


def takes_sums(loss: str | LossFn, **hyper: Any) -> bool:
    """Whether a loss depends on the sums over responses alone, found by trying it.

    Example:
      >>> takes_sums("dpo"), takes_sums("simpo", beta=2.0, gamma=1.0)
      (True, False)
    """
    bound = resolve(loss, **hyper)
    # The answer is also asked for while jax traces; the pairs are concrete anyway.
    with jax.ensure_compile_time_eval():
        pairs = random_pairs(0, batch=_TRIED)
        whole = np.asarray(bound(pairs))
        try:
            summed = np.asarray(bound(_summed(pairs)))
        except Exception:  # a user's loss meets a missing field of tokens with any
            return False
        same_shape = whole.shape == summed.shape
        return same_shape and np.allclose(whole, summed, rtol=1e-5, atol=1e-6)


def _summed(pairs: PairLogps) -> PairLogps:
    """Each response as one token that holds the whole log-probability."""

    def total(logps: Array | None, mask: Array) -> Array:
        return jnp.where(mask > 0, jnp.asarray(logps), 0.0).sum(-1)

    return _of_sums(
        chosen=total(pairs.chosen, pairs.chosen_mask),
        rejected=total(pairs.rejected, pairs.rejected_mask),
        ref_chosen=total(pairs.ref_chosen, pairs.chosen_mask),
        ref_rejected=total(pairs.ref_rejected, pairs.rejected_mask),
        kl_logratios=pairs.kl_logratios,
    )


def _of_sums(kl_logratios: Array | None = None, **sums: Array | None) -> PairLogps:
    given = {name: value for name, value in sums.items() if value is not None}
    tokens = {name: jnp.asarray(value)[..., None] for name, value in given.items()}
    masks = {
        f"{side}_mask": jnp.ones_like(tokens[side]) for side in ("chosen", "rejected")
    }
    return PairLogps(**tokens, **masks, kl_logratios=kl_logratios)


def _pairs(
    bound: BoundLoss,
    given: dict[str, Array | None],
    sums_are_enough: Callable[[], bool],
) -> PairLogps:
    """The arguments as the loss takes them, checked."""
    known = PairLogps.__dataclass_fields__
    for name in given:
        if name not in known:
            raise LossInputError(
                f"loss '{bound.label}' takes no {name!r}; expected some of "
                + ", ".join(_ARGUMENT.get(field, field) for field in known)
            )
    for name in bound.needs_fields:
        if given.get(name) is None:
            raise LossInputError(
                f"loss '{bound.label}' needs {_ARGUMENT.get(name, name)}, which is None"
            )
    masks = [given["chosen_mask"], given["rejected_mask"]]
    if all(mask is not None for mask in masks):
        return PairLogps(**given)  # pyright: ignore[reportArgumentType]
    if any(given.get(name) is not None for name in _TOKENS):
        raise LossInputError(
            f"loss '{bound.label}': chosen_mask or rejected_mask is None; expected "
            "both masks beside log-probabilities of tokens"
        )
    _check_sums(bound, given, sums_are_enough)
    sums = {name: given[name] for name in _LOGPS.values()}
    return _of_sums(given.get("kl_logratios"), **sums)


def _check_sums(
    bound: BoundLoss,
    given: dict[str, Array | None],
    sums_are_enough: Callable[[], bool],
) -> None:
    """Refuses sums where the loss needs tokens, and tokens without masks."""
    for argument, name in _LOGPS.items():
        value = given[name]
        if value is not None and jnp.ndim(value) > 1:
            raise LossInputError(
                f"loss '{bound.label}': {argument} has shape {jnp.shape(value)} and "
                "there are no masks; expected [B] sums over responses, or chosen_mask "
                "and rejected_mask beside [B, T] log-probabilities of tokens"
            )
    if not sums_are_enough():
        raise LossInputError(
            f"loss '{bound.label}' reads tokens or lengths, sums over responses are "
            "not enough; expected [B, T] log-probabilities of tokens with chosen_mask "
            "and rejected_mask"
        )
