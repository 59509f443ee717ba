"""Where mass goes when an unlikely token is pushed down, and whether features matter.

Tabular: softmax rows whose logits alone are trained, where everything is exact. In the
decoder: the wrong token at the first difference of edited pairs is pushed down by about
one nat. One-token answers: a pair's own step with fixed features (only the unembedding
moves) against one that trains all parameters.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, per_pair, row
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pairwise import dpo_weights, own_steps, products_of
from analyses.drift_prediction.policy import Scene, moved
from gradlab.gradients import parameter_groups
from gradlab.gradients.groups import tree_inner
from gradlab.measures import softmax_step, squeeze
from gradlab.models import LanguageModel
from gradlab.types import Array, Params

ROWS = 400  # tabular distributions a seed
KEPT = 40  # of them, those whose numbers enter the table
UNLIKELY = 0.05  # probability below which a token counts as unlikely
PUSH, PUSHES = 0.1, 10  # nats to first order each, and how many


def tabular_rows(seed: int) -> Iterator[Row]:
    """Exact softmax rows: exceptions to the rule, error of the formula, and shares."""
    rng = np.random.default_rng([seed, 6])
    logits = rng.normal(size=(ROWS, 30)) * rng.uniform(0.2, 4, (ROWS, 1))
    # An unlikely token: one of the less likely half.
    ranks = np.argsort(logits, axis=-1)
    targets = np.take_along_axis(ranks, rng.integers(15, size=(ROWS, 1)), -1)[:, 0]
    strength = rng.uniform(0.01, 3, ROWS)
    after, direct, found = _push_rows(logits, targets, strength)
    given = {"seed": seed, "part": "tabular"}
    yield row("argmax_fall", jnp.max(found.top_before - found.top_after), **given)
    yield row("formula_error", jnp.max(jnp.abs(after - direct)), **given)
    yield from per_pair("top_before", found.top_before[:KEPT], **given)
    yield from per_pair("absorbed", found.absorbed[:KEPT], **given)


@jax.jit
def _push_rows(logits: Array, targets: Array, strength: Array):
    """The step by formula and by autodiff, and what it did."""

    def log_p(z: Array, y: Array) -> Array:
        return jax.nn.log_softmax(z)[y]

    before = jax.nn.log_softmax(logits)
    after = softmax_step(before, targets, strength)
    push = jax.vmap(jax.grad(log_p))(logits, targets)
    direct = jax.nn.log_softmax(logits - strength[:, None] * push)
    return after, direct, squeeze(before, after, targets)


def decoder_rows(scene: Scene, config: Config, **keys: object) -> Iterator[Row]:
    """Pushes the unlikely wrong tokens of the pairs down, and looks where mass goes."""
    data, width = scene.kind.pairs, scene.kind.width
    tokenized = scene.kind.tokenized
    places = np.array([pair.shared_tokens for pair in tokenized])
    kept = places < [len(pair.rejected) for pair in tokenized]
    at = data.start - 1 + jnp.asarray(places)
    targets = jnp.take_along_axis(data.rejected, at[:, None] + 1, -1)[:, 0]
    before = _at_positions(scene.kind.model, scene.params, data.rejected, at)
    logp = jnp.take_along_axis(before, targets[:, None], -1)[:, 0]
    kept &= np.asarray((logp < np.log(UNLIKELY)) & (targets != before.argmax(-1)))
    weights = np.zeros((2, len(data), width))
    weights[1, np.flatnonzero(kept), places[kept]] = len(data) / kept.sum()
    now = scene
    for _ in range(PUSHES):  # the gradient of the mean log-probability of the tokens
        gradient = now.gradient(jnp.asarray(weights), config.batch)
        factor = -PUSH / _square(gradient)
        now = replace(now, params=moved(now.params, gradient, factor))
    after = _at_positions(scene.kind.model, now.params, data.rejected, at)
    found = jax.tree.map(lambda x: x[kept], squeeze(before, after, targets))
    given = {**keys, "part": "decoder"}
    for name in ("top", "target", "rest"):
        old, new = (getattr(found, f"{name}_{when}") for when in ("before", "after"))
        yield from per_pair(f"log_{name}", jnp.log(new / old), **given)
    yield from per_pair("top_before", found.top_before, **given)
    yield from per_pair("absorbed", found.absorbed, **given)


@jax.jit
def _square(gradient: Params) -> Array:
    return tree_inner(gradient, gradient)


@partial(jax.jit, static_argnames="model")
def _at_positions(
    model: LanguageModel, params: Params, tokens: Array, at: Array
) -> Array:
    """[N, V] log-probabilities of the next token at one position of each sequence."""
    logits = jnp.take_along_axis(model.apply(params, tokens), at[:, None, None], 1)
    return jax.nn.log_softmax(logits[:, 0])


def fixed_feature_rows(scene: Scene, config: Config, **keys: object) -> Iterator[Row]:
    """Own steps of one-token pairs in which only the unembedding moves."""
    data = scene.kind.pairs
    groups, leaves = parameter_groups(scene.params), jax.tree.leaves(scene.params)
    head = jax.tree.unflatten(
        jax.tree.structure(scene.params),
        [
            jnp.full_like(leaf, group == "head")
            for group, leaf in zip(groups, leaves, strict=True)
        ],
    )
    products = products_of(scene.logps_fn, scene.params, data, head)
    excess = (products.inner - products.chosen) / products.chosen
    given = {**keys, "loss": "dpo", "optimiser": "sgd", "part": "fixed features"}
    yield from per_pair("entangled", excess, **given)
    # At slopes of 1: the sign doesn't depend on them, while they are equal.
    ones = jnp.ones(len(data))
    spread = products.chosen - 2 * products.inner + products.rejected
    rate = config.own_step * scene.size / float(jnp.sqrt(spread).mean())
    weights = dpo_weights(scene, ones, ones)
    realised = own_steps(scene.logps_fn, scene.params, data, weights, rate, head)
    for column, side in enumerate(("chosen", "rejected")):
        yield from per_pair("own_real", realised[:, column], side=side, **given)
