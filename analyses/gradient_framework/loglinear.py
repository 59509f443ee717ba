"""A log-linear policy: fixed random features of prompt, last token and position.

Weights are shared by all contexts, so that examples are coupled, without depth.
"""

from collections.abc import Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.evaluation import likelihoods, off_support
from analyses.gradient_framework.runs import Runner
from analyses.gradient_framework.scene import Scene, make_scene
from gradlab.models import LanguageModel
from gradlab.types import Array, Params

BASELINE = "mle(reduction=mean)"
SUBTRACTED = "mate(lam=0.2)"


@lru_cache
def policy(vocabulary: int, length: int, prompt: int) -> LanguageModel:
    """logits = tanh(x P) W; x one-hot: last token, position, symbols of the prompt."""

    def apply(params: Params, tokens: Array) -> Array:
        last = jax.nn.one_hot(tokens, vocabulary)
        where = jnp.broadcast_to(jnp.eye(length), (len(tokens), length, length))
        symbols = jax.nn.one_hot(tokens[:, 1 : prompt - 1], vocabulary)
        context = symbols.reshape(len(tokens), 1, -1)
        context = jnp.broadcast_to(context, (*tokens.shape, context.shape[-1]))
        x = jnp.concatenate([last, where, context], axis=-1)
        projection = jax.lax.stop_gradient(params["projection"])
        return jnp.tanh(x @ projection) @ params["weights"]

    return LanguageModel(apply=apply)


def fresh(config: Config, scene: Scene) -> Params:
    """Random projections of every seed, and zero weights."""
    inputs = scene.vocabulary * (scene.grammars[0].prompt_length - 1) + scene.length
    shape = (inputs, config.features)
    draws = [
        np.random.default_rng([seed, 30]).normal(size=shape) for seed in scene.seeds
    ]
    weights = np.zeros((len(draws), config.features, scene.vocabulary), np.float32)
    return {
        "projection": jnp.asarray(np.stack(draws), jnp.float32),
        "weights": jnp.asarray(weights),
    }


def sweep_rows(config: Config) -> Iterator[Row]:
    """Likelihood and agility over ExMATE's lambda, and for plain subtraction."""
    if not config.sweep_seeds:
        return
    scene = make_scene(config, config.main, config.sweep_seeds, config.pairs)
    model = policy(scene.vocabulary, scene.length, scene.grammars[0].prompt_length)
    swept = [f"exmate(lam={lam:g})" for lam in config.sweep_lams]
    losses = (BASELINE, *swept, SUBTRACTED)
    runner, params = Runner(model, scene.width, losses), fresh(config, scene)
    order = scene.order(config.sweep_steps, config.batch, among=config.pairs, part=1)
    for loss in losses:
        *_, ended = runner.run(
            loss, params, scene.train, order, config.sweep_rate,
            segment=config.sweep_steps,
        )  # fmt: skip
        found = {
            **likelihoods(runner, ended, scene.held),
            "off_support": off_support(model, ended, scene),
        }
        for name, values in found.items():
            for seed, value in zip(scene.seeds, values, strict=True):
                yield row(
                    name, value, seed=seed, loss=loss, kind="g2", model="log-linear",
                    rho=config.main.rho, false_neg=config.main.false_neg,
                    matching="rate", schedule="joint", step=config.sweep_steps,
                )  # fmt: skip
