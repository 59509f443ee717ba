"""A tiny language model in float64 and ragged pairs, for measures of gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.types import PairLogps, PairWeights

V, D = 11, 6
WIDTH = 5  # columns of both sides' log-probabilities
SIDES = ("chosen", "rejected")


def parameters(seed: int = 0):
    """With a large bias: the hidden states have much in common, as in real models."""
    rng = np.random.default_rng(seed)
    shapes = {"embed": (V, D), "mix": (D, D), "head": (D, V), "bias": (D,)}
    params = {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}
    params["bias"] += 0.8
    return jax.tree.map(jnp.asarray, params)


def hidden(params, tokens):
    """[B, T] -> [B, T, D]: each state reads its token and the mean of all up to it."""
    embedded = params["embed"][tokens]
    count = jnp.arange(1, tokens.shape[1] + 1)[:, None]
    context = jnp.cumsum(embedded, 1) / count
    return jnp.tanh(embedded + context @ params["mix"] + params["bias"])


def logits_at(params, tokens, start, width: int = WIDTH):
    """Logits that predict the response tokens [B, width, V], and those tokens."""
    columns = jnp.clip(start[:, None] + jnp.arange(width), 0, tokens.shape[1] - 1)
    states = hidden(params, tokens)
    states = jnp.take_along_axis(states, columns[..., None] - 1, 1)
    return states @ params["head"], jnp.take_along_axis(tokens, columns, 1)


def logps_fn(params, pairs):
    """(params, data) -> ([B, WIDTH], [B, WIDTH]); 0 past a response."""

    def one(side):
        logits, targets = logits_at(params, pairs[side], pairs["start"])
        logps = jax.nn.log_softmax(logits)
        logps = jnp.take_along_axis(logps, targets[..., None], -1)[..., 0]
        inside = jnp.arange(WIDTH) < pairs[f"{side}_length"][:, None]
        return jnp.where(inside, logps, 0)

    return one("chosen"), one("rejected")


def batch(seed: int = 0, pairs: int = 6, length: int = 9):
    """Token ids, starts and lengths of both sides, of three kinds by row.

    By turns: other tokens, one token changed, and the chosen tokens in another order.
    """
    rng = np.random.default_rng(seed)
    start = rng.integers(2, 4, pairs)
    chosen = rng.integers(V, size=(pairs, length))
    rejected = chosen.copy()
    lengths = rng.integers(2, WIDTH + 1, (2, pairs))
    for row, first in enumerate(start):
        if row % 3 == 0:
            rejected[row, first:] = rng.integers(V, size=length - first)
        elif row % 3 == 2:
            lengths[1, row] = lengths[0, row]
            stop = first + lengths[0, row]
            rejected[row, first:stop] = chosen[row, first:stop][::-1]
        if row % 3 < 2:
            rejected[row, first] = (chosen[row, first] + 1) % V
    return {
        "start": jnp.asarray(start),
        "chosen": jnp.asarray(chosen),
        "rejected": jnp.asarray(rejected),
        "chosen_length": jnp.asarray(lengths[0]),
        "rejected_length": jnp.asarray(lengths[1]),
    }


def masks(pairs) -> PairWeights:
    columns = jnp.arange(WIDTH)
    inside = [columns < pairs[f"{side}_length"][:, None] for side in SIDES]
    return PairWeights(*(mask.astype(float) for mask in inside))


def pair_logps(params, pairs, seed: int = 5) -> PairLogps:
    """What a loss sees, with a reference near the policy."""
    chosen, rejected = logps_fn(params, pairs)
    rng = np.random.default_rng(seed)
    mask = masks(pairs)

    def near(logps):
        return jnp.minimum(logps + rng.normal(0, 0.3, logps.shape), -1e-3)

    return PairLogps(
        chosen, rejected, mask.chosen, mask.rejected, near(chosen), near(rejected)
    )
