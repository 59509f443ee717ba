"""The checks. Each takes a loss, in float64, and raises `Broken` where it fails."""

import itertools
from collections.abc import Callable
from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import LossInputError
from gradlab.losses.contract.derivatives import finite_differences, third_derivatives
from gradlab.losses.contract.tools import (
    SIDES,
    Broken,
    NotApplicable,
    batches,
    couples,
    draws,
    expect_finite,
    expect_same,
    over_batches,
    stack,
    stacked_batches,
    value_and_weights,
)
from gradlab.losses.example import random_pairs
from gradlab.losses.resolve import BoundLoss
from gradlab.types import PairLogps

JUNK = (np.nan, -np.inf, np.inf, 0.0, 17.25, -1e30)
OPTIONAL = tuple(f.name for f in fields(PairLogps) if f.default is None)


def one_value_per_pair(loss: BoundLoss) -> None:
    """One finite float per pair, in the dtype of the log-probabilities."""
    pairs = batches()[0]
    values = loss(pairs)
    if values.shape != pairs.chosen.shape[:1] or values.dtype != pairs.chosen.dtype:
        raise Broken(
            f"returned {values.dtype}{list(values.shape)}; expected "
            f"{pairs.chosen.dtype}[{pairs.chosen.shape[0]}]"
        )
    expect_finite(values, "the value of an ordinary batch")


def closed_form(loss: BoundLoss) -> None:
    """Token weights equal the formula written out by hand, on 24 batches."""
    stacked = stacked_batches()
    if jax.eval_shape(loss.closed_form, batches()[0]) is None:
        raise NotApplicable("no closed form is known")
    weights = over_batches(loss, stacked)[1]
    expected = jax.vmap(loss.closed_form)(stacked)
    expect_same(weights, expected, "token weight", rtol=1e-12, atol=1e-12)


def masked_entries(loss: BoundLoss) -> None:
    """Masked entries change neither value nor weights, and weigh exactly 0."""
    pairs = batches()[1]
    spoilt = []
    for junk in JUNK:
        one = pairs
        for side in SIDES:
            mask = getattr(pairs, f"{side}_mask") > 0
            for field in (side, f"ref_{side}", f"{side}_logsumsq", f"{side}_keep"):
                values = jnp.where(mask, getattr(pairs, field), junk)
                one = replace(one, **{field: values})
        spoilt.append(one)
    values, weights = over_batches(loss, stack([pairs, *spoilt]))
    for i, junk in enumerate(JUNK, start=1):
        expect_same(values[i], values[0], f"value with {junk} off the mask")
        for side in SIDES:
            weight = getattr(weights, side)
            expect_same(weight[i], weight[0], f"weight with {junk} off the mask")
            off = np.asarray(getattr(pairs, f"{side}_mask") == 0)
            expect_same(weight[i][off], np.zeros(off.sum()), "weight off the mask")


def extremes(loss: BoundLoss) -> None:
    """Finite in float32 for log-probabilities from -1e4 to -1e-9."""
    pairs = random_pairs(2, dtype=jnp.float32)
    made = []
    for logp, side, ref in itertools.product(
        (-1e4, -87.0, -1e-9), SIDES, (-1e4, -1e-9)
    ):
        for other in (-1.0, logp):
            policy = {
                s: jnp.full_like(getattr(pairs, s), logp if s == side else other)
                for s in SIDES
            }
            frozen = {f"ref_{s}": jnp.full_like(policy[s], ref) for s in SIDES}
            made.append(replace(pairs, **policy, **frozen))
    values, weights = over_batches(loss, stack(made))
    if values.dtype != jnp.float32:
        raise Broken(f"float32 in, {values.dtype} out")
    expect_finite(values, "the value at an extreme log-probability")
    expect_finite(weights, "a weight at an extreme log-probability")


def empty_response(loss: BoundLoss) -> None:
    """A response without tokens weighs 0 and spoils no other weight."""
    pairs = batches()[3]
    made = [
        replace(pairs, **{f"{s}_mask": getattr(pairs, f"{s}_mask").at[0].set(0)})
        for s in SIDES
    ]
    values, weights = over_batches(loss, stack(made))
    expect_finite(values[0], "the value of a pair with an empty chosen response")
    expect_finite(weights, "a weight beside an empty response")
    for i, side in enumerate(SIDES):
        weight = getattr(weights, side)[i, 0]
        expect_same(weight, jnp.zeros_like(weight), "weight of an empty response")


def under_jit(loss: BoundLoss) -> None:
    """`jax.jit` changes nothing."""
    pairs = batches()[4]
    jitted = jax.jit(lambda p: value_and_weights(loss, p))(pairs)
    eager = value_and_weights(loss, pairs)
    expect_same(jitted, eager, "under jit", rtol=1e-12, atol=1e-13)


def in_float32(loss: BoundLoss) -> None:
    """float32 agrees with float64 to 2e-5."""
    single = over_batches(loss, stacked_batches(jnp.float32))
    double = over_batches(loss, stacked_batches())
    expect_same(single, double, "in float32", rtol=2e-5, atol=2e-5)


def in_bfloat16(loss: BoundLoss) -> None:
    """bfloat16 log-probabilities are taken to float32 before any arithmetic."""
    coarse = random_pairs(6, dtype=jnp.bfloat16)
    values = loss(coarse)
    if values.dtype != jnp.float32:
        raise Broken(f"bfloat16 in, {values.dtype} out; expected float32")
    upcast = jax.tree.map(lambda x: x.astype(jnp.float32), coarse)
    expect_same(values, loss(upcast), "from bfloat16", rtol=1e-6, atol=1e-6)


def padding(loss: BoundLoss) -> None:
    """Padding on either side changes nothing."""
    pairs = batches()[6]
    before, after = 2, 3

    def widen(x: jax.Array) -> jax.Array:
        return jnp.pad(x, [(0, 0), (before, after)]) if x.ndim == 2 else x

    values, weights = value_and_weights(loss, pairs)
    wide_values, wide = value_and_weights(loss, jax.tree.map(widen, pairs))
    inner = jax.tree.map(lambda x: x[:, before:-after], wide)
    expect_same(wide_values, values, "value with padding", rtol=1e-13, atol=1e-15)
    expect_same(inner, weights, "weight with padding", rtol=1e-13, atol=1e-15)


def batch_order(loss: BoundLoss) -> None:
    """Pairs in another order keep their values and weights."""
    if draws(loss):
        raise NotApplicable("draws depend on a pair's place in the batch")
    pairs, order = batches()[7], jnp.array([2, 0, 1])
    values, weights = value_and_weights(loss, pairs)
    turned = jax.tree.map(lambda x: x[order] if x.ndim == 2 else x, pairs)
    new_values, new_weights = value_and_weights(loss, turned)
    by_rank = loss.info is not None and loss.info.values_by_rank
    expected = values if by_rank else values[order]
    expect_same(new_values, expected, "value in another order", rtol=1e-13)
    expected = jax.tree.map(lambda x: x[order], weights)
    expect_same(new_weights, expected, "weight in another order", rtol=1e-12)


def coupling(loss: BoundLoss) -> str:
    """Pairs couple through the batch only if the table says so."""
    seen = couples(loss)
    if loss.info is not None and seen != loss.couples_batch:
        raise Broken(f"pairs couple: {seen}; the table says {loss.couples_batch}")
    return "pairs couple through the batch" if seen else "pairs don't couple"


def under_vmap(loss: BoundLoss) -> None:
    """`jax.vmap` over single pairs equals the batch."""
    coupled = loss.couples_batch if loss.info else couples(loss)
    if draws(loss) or coupled:
        raise NotApplicable("a pair's value depends on its batch")
    pairs = replace(batches()[9], kl_logratios=None)
    expect_same(jax.vmap(loss)(pairs), loss(pairs), "under vmap", rtol=1e-12)


def needed_fields(loss: BoundLoss) -> None:
    """An optional field is demanded by name exactly where the table says so."""
    if loss.info is None:
        raise NotApplicable("the fields that it needs aren't known")
    pairs, needed = batches()[0], loss.needs_fields
    spared = {field: None for field in OPTIONAL if field not in needed}
    refusal = _refusal(loss, replace(pairs, **spared))
    if refusal:
        raise Broken(f"a field that the table spares is needed: {refusal}")
    for field in needed:
        refusal = _refusal(loss, replace(pairs, **{field: None}))
        if f"PairLogps.{field}" not in refusal:
            raise Broken(f"PairLogps.{field} = None isn't refused by name")


def _refusal(loss: BoundLoss, pairs: PairLogps) -> str:
    try:
        loss(pairs)
    except LossInputError as error:
        return str(error)
    return ""


def constants(loss: BoundLoss) -> None:
    """Gradients flow to the policy's log-probabilities alone."""
    pairs = batches()[11]
    grads = jax.grad(lambda p: jnp.sum(loss(p)))(pairs)
    for field in OPTIONAL:
        grad = getattr(grads, field)
        expect_same(grad, jnp.zeros_like(grad), f"gradient of PairLogps.{field}")


CHECKS: dict[str, Callable[[BoundLoss], str | None]] = {
    "one value per pair": one_value_per_pair,
    "closed form": closed_form,
    "finite differences": finite_differences,
    "third derivatives": third_derivatives,
    "masked entries": masked_entries,
    "extremes": extremes,
    "empty response": empty_response,
    "jit": under_jit,
    "float32": in_float32,
    "bfloat16": in_bfloat16,
    "padding": padding,
    "batch order": batch_order,
    "coupling": coupling,
    "vmap": under_vmap,
    "needed fields": needed_fields,
    "constants": constants,
}
