"""The model and the pairs that all sides work on."""

from dataclasses import dataclass, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from analyses.speed.config import Config
from gradlab.losses import LOSSES
from gradlab.models.config import DecoderConfig
from gradlab.models.functional import LanguageModel, build, param_shapes
from gradlab.models.logps import response_logps
from gradlab.types import Array, PairLogps, Params

LOSS = "dpo"
BETA = LOSSES[LOSS].defaults["beta"]
Sides = tuple[Array, Array]  # chosen and rejected


@dataclass(frozen=True)
class Workload:
    """A decoder with random weights and pairs of random tokens, all of which count.

    Attributes:
      decoder: the shape of the model.
      model: as functions.
      params: its weights.
      tokens: (chosen, rejected), each [B, 1 + T]: one token of prompt, T of response.
      pairs: for the loss; the reference is the model itself.
    """

    decoder: DecoderConfig
    model: LanguageModel
    params: Params
    tokens: Sides
    pairs: PairLogps

    def logps(self, params: Params, tokens: Array) -> Array:
        """Token log-probs [B, T] of sequences [B, 1 + T], as gradlab computes them."""
        count, width = tokens.shape[0], tokens.shape[1] - 1
        start, length = jnp.full(count, 1), jnp.full(count, width)
        return response_logps(self.model, params, tokens, start, length, width=width)

    def plain_logps(self, params: Params, tokens: Array) -> Array:
        """The same from the logits of all positions, as one writes it without."""
        logps = jax.nn.log_softmax(self.model.apply(params, tokens[:, :-1]))
        return jnp.take_along_axis(logps, tokens[:, 1:, None], axis=-1)[..., 0]

    def pair_logps(self, params: Params, tokens: Sides) -> Sides:
        """Both sides of b pairs from one pass over all 2b sequences."""
        chosen, rejected = jnp.split(self.logps(params, jnp.concatenate(tokens)), 2)
        return chosen, rejected

    def side_logps(self, params: Params, tokens: Sides) -> Sides:
        """The same from a pass for each side, so that each has a gradient of its own.

        A backward pass for one side then visits its own half of the work only.
        """
        return self.logps(params, tokens[0]), self.logps(params, tokens[1])


def parameter_count(config: Config) -> int:
    """N of the config's model."""
    return sum(leaf.size for leaf in jax.tree.leaves(param_shapes(config.decoder())))


@lru_cache(maxsize=2)
def make_workload(config: Config, pairs: int, seed: int) -> Workload:
    """The model of the config with so many pairs."""
    decoder = config.decoder()
    model, params = build(decoder, seed=seed)
    rng = np.random.default_rng(seed)
    shape = (2, pairs, 1 + config.tokens)
    sides = rng.integers(decoder.vocab_size, size=shape, dtype=np.int32)
    tokens = (jnp.asarray(sides[0]), jnp.asarray(sides[1]))
    ones = jnp.ones((pairs, config.tokens))
    work = Workload(decoder, model, params, tokens, PairLogps(ones, ones, ones, ones))
    chosen, rejected = jax.jit(work.pair_logps)(params, tokens)
    filled = PairLogps(chosen, rejected, ones, ones, chosen, rejected)
    return replace(work, pairs=filled)
