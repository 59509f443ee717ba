"""How alike the gradients of one pair's tokens are: which of them move together."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gradlab.data import TokenizedPair
from gradlab.data.pair_batches import pair_batches
from gradlab.drift.own import microbatch
from gradlab.drift.passes import batch_arrays
from gradlab.gradients import cosines, token_gram
from gradlab.inputs.scored import SIDES
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import response_logps
from gradlab.types import Params

KEYS = ("side", "position", "token", "region")


def gram_frame(
    model: LanguageModel, params: Params, pair: TokenizedPair, tokens: pd.DataFrame
) -> pd.DataFrame:
    """Inner product and cosine of the log-probability gradients of every two tokens.

    Costs a backward and a forward-mode pass over the pair for each token.

    Args:
      model: pure functions of its parameters.
      params: of the model.
      pair: as the model reads it.
      tokens: columns `pair, side, position, token, region`, one row per token of the
        pair that is wanted.

    Returns:
      One row for every two of the M tokens, chosen ones first, in order: pair; side,
      position, token and region of the one; other_side and so on; inner (what the other
      gains per unit of gradient ascent on the one) and cosine.
    """
    shown = [tokens.loc[tokens["side"] == side] for side in SIDES]
    places = [jnp.asarray(part["position"].to_numpy()) for part in shown]
    (batch,) = pair_batches([pair], batch_size=1, max_shapes=1)
    arrays = [batch_arrays(getattr(batch, side)) for side in SIDES]
    inner = _gram(params, arrays, places, model, batch.width, microbatch())
    keys = pd.concat(shown)[["pair", *KEYS]].reset_index(drop=True)
    keys = keys.astype({"side": str, "token": str, "region": str})
    count = len(keys)
    one = keys.loc[np.repeat(np.arange(count), count)].reset_index(drop=True)
    other = keys.loc[np.tile(np.arange(count), count)].drop(columns="pair")
    other = other.reset_index(drop=True).add_prefix("other_")
    numbers = {"inner": inner, "cosine": cosines(inner)}
    flat = {name: np.asarray(value).ravel() for name, value in numbers.items()}
    return pd.concat([one, other], axis=1).assign(**flat)


@partial(jax.jit, static_argnames=("model", "width", "microbatch"))
def _gram(params, arrays, places, model, width, microbatch):
    def logps_fn(theta):
        chosen, rejected = (
            response_logps(model, theta, *rows, width=width)[:, at]
            for rows, at in zip(arrays, places, strict=True)
        )
        return chosen, rejected

    return token_gram(logps_fn, params, microbatch=microbatch)
