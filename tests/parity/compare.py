"""The library's side of a comparison, and the error measure."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.gradients import value_and_token_weights
from gradlab.losses import resolve
from gradlab.types import PairLogps
from tests.parity.batches import Ragged, RaggedLogits

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
BATCHES = 100


def relative_error(got, expected) -> float:
    """max |x - y| / max |y|; the plain maximum of |x| where y is 0 throughout.

    Relative to the largest entry: a gradient that crosses 0 has no digits of its own.
    """
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    scale = np.max(np.abs(expected), initial=0.0)
    error = np.max(np.abs(got - expected), initial=0.0)
    return float(error / scale if scale > 0.0 else error)


def value_error(values, expected: float) -> float:
    """|mean of the pairs' values - y|, relative to the mean of their magnitudes.

    The same as relative to y for a loss that is never negative; one that changes sign
    (robust DPO) may have a mean near 0.
    """
    values = np.asarray(values, np.float64)
    scale = np.mean(np.abs(values))
    error = abs(np.mean(values) - expected)
    return float(error / scale if scale > 0.0 else error)


@functools.cache
def _weights_of(loss: str):
    return jax.jit(functools.partial(value_and_token_weights, loss))


def on_logps(
    loss: str, batch: Ragged, dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A loss per pair, [B]; gradients of its mean at response tokens, in row order."""
    with jax.enable_x64(dtype is np.float64):
        values, weights = _weights_of(loss)(batch.pairs(dtype))
    assert values.dtype == dtype
    chosen, rejected = (
        np.asarray(w)[side.mask] / len(values)
        for w, side in (
            (weights.chosen, batch.chosen),
            (weights.rejected, batch.rejected),
        )
    )
    return np.asarray(values), chosen, rejected


@functools.cache
def _gradient_of(loss: str):
    bound = resolve(loss)

    def batch_mean(logits, tokens, mask):  # and the values that it is the mean of
        logps = jax.nn.log_softmax(logits[:, :-1])
        logps = jnp.take_along_axis(logps, tokens[:, 1:, None], axis=-1)[..., 0]
        (chosen, rejected), (mask_c, mask_r) = jnp.split(logps, 2), jnp.split(mask, 2)
        zeros = jnp.zeros_like(chosen)
        pairs = PairLogps(chosen, rejected, mask_c, mask_r, zeros, zeros)
        values = bound(pairs)
        return jnp.mean(values), values

    return jax.jit(jax.grad(batch_mean, has_aux=True))


def on_logits(
    loss: str, batch: RaggedLogits, dtype, *, with_prompt: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A loss per pair, [B]; the gradient of its mean at all logits, [2B, S, V].

    The reference is 0. With `with_prompt`, prompt tokens count as response.
    """
    mask = batch.attention if with_prompt else batch.response
    with jax.enable_x64(dtype is np.float64):
        gradient, values = _gradient_of(loss)(
            batch.logits.astype(dtype), batch.tokens, mask[:, 1:]
        )
    assert values.dtype == dtype
    return np.asarray(values), np.asarray(gradient)
