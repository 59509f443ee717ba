"""Statistics of every token of some texts under given parameters."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.data.batches import SideBatch, batches
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import POSITION_CHUNK, response_logps
from gradlab.models.scoring import score_batches
from gradlab.models.sharding import beside, gathered
from gradlab.training.probe_tables import Columns
from gradlab.types import Array, Params


def token_columns(
    model: LanguageModel,
    params: Params,
    rows: Sequence[TokenizedPair],
    *,
    batch_size: int,
    top_k: int = 0,
) -> Columns:
    """Statistics of the chosen response's tokens of every row.

    Args:
      model: and `params`: what is measured.
      params: of the model.
      rows: texts.
      batch_size: sequences measured at once; results don't depend on it, up to
        rounding.
      top_k: also the mass on that many most likely tokens; 0: not.

    Returns:
      logp, entropy, max_logp in nats; hit (1 where the token is the most likely one);
      top_k_mass, a share.
    """
    made = list(batches(rows, "chosen", batch_size=batch_size))
    found: list[Columns] = []
    for batch, stats in zip(made, score_batches(model, params, made), strict=True):
        columns = {
            "logp": np.asarray(stats.logps),
            "entropy": np.asarray(stats.entropy),
            "max_logp": np.asarray(stats.max_logp),
            "hit": np.asarray(stats.argmax == batch.targets, np.float32),
        }
        if top_k:
            given = beside(params, (batch.tokens, batch.response_start))
            columns["top_k_mass"] = gathered(
                _top_mass(model, params, *given, width=batch.width, k=top_k)
            )
        found.append(columns)
    return _in_order(rows, made, found)


def logp_change(
    model: LanguageModel,
    params: Params,
    direction: Params,
    rows: Sequence[TokenizedPair],
    *,
    batch_size: int,
) -> Columns:
    """How a change of the parameters moves each token's log-probability.

    Returns:
      predicted: to first order, by one Jacobian-vector product; realised: after the
      change was made. Both in nats.
    """
    made = list(batches(rows, "chosen", batch_size=batch_size))
    found = []
    for batch in made:
        given = (batch.tokens, batch.response_start, batch.response_length)
        inputs = beside(params, given)
        with jax.default_matmul_precision("highest"):
            changes = _change(model, params, direction, *inputs, width=batch.width)
        found.append(dict(zip(("predicted", "realised"), changes, strict=True)))
    return _in_order(rows, made, gathered(found))


@partial(jax.jit, static_argnames=("model", "width"))
def _change(model, params, direction, tokens, start, length, *, width):
    def logps(params: Params) -> Array:
        return response_logps(model, params, tokens, start, length, width=width)

    before, predicted = jax.jvp(logps, (params,), (direction,))
    return predicted, logps(jax.tree.map(jnp.add, params, direction)) - before


@partial(jax.jit, static_argnames=("model", "width", "k"))
def _top_mass(model, params, tokens, start, *, width, k):
    """[B, width] probability of the k most likely tokens, a few positions at a time."""
    last = tokens.shape[1] - 1
    places = jnp.clip(start[:, None] - 1 + jnp.arange(width), 0, last)[:, :, None]
    read: Callable[[Array], Array]
    if model.hidden is None or model.head is None:
        source, read = model.apply(params, tokens), lambda x: x
    else:
        head = model.head(params)
        source, read = model.hidden(params, tokens), lambda x: x @ head
    rows = jnp.take_along_axis(source, places, axis=1)
    flat = rows.reshape(-1, rows.shape[-1])

    def mass(row: Array) -> Array:
        logits = read(row).astype(jnp.float32)
        top = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0]
        return jnp.exp(top - jax.nn.logsumexp(logits)).sum()

    return jax.lax.map(mass, flat, batch_size=POSITION_CHUNK).reshape(-1, width)


def _in_order(
    rows: Sequence[TokenizedPair],
    made: Sequence[SideBatch],
    found: Sequence[Columns],
) -> Columns:
    """Entries of padded batches as flat columns, row by row."""
    by_row: list[Columns] = [{} for _ in rows]
    for batch, columns in zip(made, found, strict=True):
        for place, index in enumerate(batch.index):
            if index >= 0:
                length = batch.response_length[place]
                by_row[index] = {k: v[place, :length] for k, v in columns.items()}
    return {k: np.concatenate([part[k] for part in by_row]) for k in by_row[0]}
