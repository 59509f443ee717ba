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


@functools.cache
def _weights_of(loss: str):
    return jax.jit(functools.partial(value_and_token_weights, loss))


def on_logps(loss: str, batch: Ragged, dtype) -> tuple[float, np.ndarray, np.ndarray]:
    """Batch mean of a loss and its gradients at the response tokens, in row order."""
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
    return float(np.mean(np.asarray(values))), chosen, rejected


@functools.cache
def _value_and_grad_of(loss: str):
    bound = resolve(loss)

    def batch_mean(logits, tokens, mask):
        logps = jax.nn.log_softmax(logits[:, :-1])
        logps = jnp.take_along_axis(logps, tokens[:, 1:, None], axis=-1)[..., 0]
        (chosen, rejected), (mask_c, mask_r) = jnp.split(logps, 2), jnp.split(mask, 2)
        zeros = jnp.zeros_like(chosen)
        pairs = PairLogps(chosen, rejected, mask_c, mask_r, zeros, zeros)
        return jnp.mean(bound(pairs))

    return jax.jit(jax.value_and_grad(batch_mean))


def on_logits(
    loss: str, batch: RaggedLogits, dtype, *, with_prompt: bool = False
) -> tuple[float, np.ndarray]:
    """Batch mean of a loss and its gradient with respect to the logits, [2B, S, V].

    The reference is 0. With `with_prompt`, prompt tokens count as response.
    """
    mask = batch.attention if with_prompt else batch.response
    with jax.enable_x64(dtype is np.float64):
        value, gradient = _value_and_grad_of(loss)(
            batch.logits.astype(dtype), batch.tokens, mask[:, 1:]
        )
    assert value.dtype == dtype
    return float(value), np.asarray(gradient)
