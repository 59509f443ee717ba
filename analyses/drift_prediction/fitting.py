"""The decoder of the synthetic kinds: fitted by maximum likelihood, anew per seed."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.training import fit as fit_texts
from analyses.drift_prediction.config import Source
from analyses.drift_prediction.synthetic import Text, fitting_texts, make_text
from gradlab.models import DecoderConfig, LanguageModel, build
from gradlab.types import Params

POOL = 4096  # sequences drawn once; batches are drawn from them


@dataclass(frozen=True)
class Fitted:
    """A source and the decoder fitted to it.

    Attributes:
      text: the source.
      model: the decoder, with an unembedding of its own.
      params: in float64 where that is enabled.
      cross_entropy: of its last tenth of updates, nats per token.
    """

    text: Text
    model: LanguageModel
    params: Params
    cross_entropy: float


def fit(config: Source, seed: int) -> Fitted:
    """Draws a source and fits a decoder to its texts (Adam, float32)."""
    rng = np.random.default_rng([seed, 0])
    text = make_text(config, rng)
    length = 1 + config.prompt + config.width
    shape = DecoderConfig(
        vocab_size=text.vocab_size,
        width=config.model_width,
        layers=config.layers,
        heads=config.heads,
        ff_width=2 * config.model_width,
        max_length=length,
        tied=False,
    )
    model, params = build(shape, seed=seed)
    pool = fitting_texts(text, min(POOL, config.fit_updates * config.fit_batch), rng)
    picks = rng.integers(len(pool), size=(config.fit_updates, config.fit_batch))
    params, losses = fit_texts(model, params, jnp.asarray(pool[picks]), config.fit_rate)
    last = max(1, config.fit_updates // 10)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), params)
    return Fitted(text, model, params, float(losses[-last:].mean()))
