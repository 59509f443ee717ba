"""Refusals shared by all losses: missing fields, wrong shapes, values out of range.

Shapes and dtypes are checked also under `jax.jit`, where they are known; values only
where they are concrete.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradlab.errors import LossInputError
from gradlab.types import Array, PairLogps


def require(pairs: PairLogps, loss: str, *fields: str) -> list[Array]:
    """The named optional fields of `pairs`; a missing one is an error that names it."""
    check_shapes(pairs)
    missing = [f for f in fields if getattr(pairs, f) is None]
    if missing:
        names = " and ".join(f"PairLogps.{f}" for f in missing)
        raise LossInputError(
            f"loss '{loss}' needs {names}, which is None; give the array (see the "
            f"fields of gradlab.PairLogps) or choose a loss that does without"
        )
    return [getattr(pairs, f) for f in fields]


def check_choice(
    loss: str, argument: str, value: object, allowed: Sequence[str]
) -> None:
    """Refuse a keyword value outside its list."""
    if value not in allowed:
        raise LossInputError(
            f"loss '{loss}': {argument}={value!r} is unknown; expected one of "
            + ", ".join(repr(a) for a in allowed)
        )


def check_range(
    loss: str,
    argument: str,
    value: Any,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    closed_high: bool = False,
) -> None:
    """Refuse a number (or any of an array) outside the interval; traced values pass.

    The interval is [low, high) unless `open_low` or `closed_high` say otherwise.
    """
    if isinstance(value, Tracer):
        return
    array = np.asarray(value)
    above = low < array if open_low else low <= array
    below = array <= high if closed_high else array < high
    if not np.all(above & below):
        raise LossInputError(
            f"loss '{loss}': {argument}={value!r} is out of range; expected "
            f"{'(' if open_low else '['}{low}, {high}{']' if closed_high else ')'}"
        )


_SIDE_OF = {
    "chosen_mask": "chosen",
    "ref_chosen": "chosen",
    "chosen_logsumsq": "chosen",
    "chosen_keep": "chosen",
    "rejected_mask": "rejected",
    "ref_rejected": "rejected",
    "rejected_logsumsq": "rejected",
    "rejected_keep": "rejected",
}


def check_shapes(pairs: PairLogps) -> None:
    """Refuse arrays of one side that differ in shape, or sides of unequal batches."""
    for side in ("chosen", "rejected"):
        dtype = jnp.result_type(getattr(pairs, side))
        if not jnp.issubdtype(dtype, jnp.floating):
            raise LossInputError(
                f"PairLogps.{side} has dtype {dtype}; expected float log-probabilities"
            )
    for name, side in _SIDE_OF.items():
        value = getattr(pairs, name)
        expected = jnp.shape(getattr(pairs, side))
        if value is not None and jnp.shape(value) != expected:
            raise LossInputError(
                f"PairLogps.{name} has shape {jnp.shape(value)}; expected {expected}, "
                f"the shape of PairLogps.{side}"
            )
    chosen, rejected = jnp.shape(pairs.chosen), jnp.shape(pairs.rejected)
    if chosen[:-1] != rejected[:-1] or not chosen:
        raise LossInputError(
            f"PairLogps.chosen has shape {chosen} and .rejected {rejected}; expected "
            "[B, T] and [B, T'] with the same B"
        )


def check_values(pairs: PairLogps, tolerance: float = 1e-3) -> None:
    """Refuse unmasked log-probabilities that are NaN or positive.

    Catches logits, probabilities and negated log-probabilities handed in by mistake.
    Does nothing for traced arrays, whose values aren't known.

    Args:
      pairs: concrete arrays.
      tolerance: how far above 0 rounding may carry a log-probability, in nats.
    """
    for name in ("chosen", "rejected", "ref_chosen", "ref_rejected"):
        values = getattr(pairs, name)
        if values is None or isinstance(values, Tracer):
            continue
        side = name.removeprefix("ref_")
        mask = getattr(pairs, f"{side}_mask")
        if isinstance(mask, Tracer):
            continue
        # On the host: under jit, jnp would trace even arrays that are concrete.
        values = np.asarray(values)
        bad = np.asarray(mask, bool) & ~(values <= tolerance)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise LossInputError(
                f"PairLogps.{name}{list(where)} is {float(values[where])}; expected "
                "log-probabilities in nats (at most 0) wherever the mask is set"
            )
