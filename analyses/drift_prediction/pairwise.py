"""What each pair is like, and what a step on that pair alone does to it.

Norms and inner products of the score gradients, CHES, edit distance and hidden-state
cosine of every pair; the conditions that decide which side moves; the realised change
of both sides under the pair's own step; and the share of a batch step's change that
is the pair's own doing.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, per_pair
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.policy import (
    Scene,
    all_weights,
    batches,
    first,
    moved,
    sum_changes,
)
from gradlab.gradients.groups import stacked_inner, tree_norm
from gradlab.measures import (
    Influence,
    ScoreProducts,
    ches,
    entanglement,
    influence_of_sums,
    last_hidden_cosine,
    ln_ches,
    pair_edits,
    response_hidden,
    score_products,
    self_share,
    sequence_weights,
)
from gradlab.models import LanguageModel
from gradlab.types import Array, Params


@partial(jax.jit, static_argnames="logps_fn")
def products_of(
    logps_fn: Callable, params: Params, data: PairArrays, scale: Params
) -> ScoreProducts:
    """Norms and inner product of both score gradients of every pair, [N].

    Args:
      logps_fn: (params, data) -> token log-probabilities.
      params: of the model.
      data: N pairs.
      scale: P of the inner product <x, P y>, like params; 0 freezes a coordinate.
    """
    return score_products(logps_fn, params, data, precondition=scale)


@partial(jax.jit, static_argnames="logps_fn")
def own_steps(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    weights: Array,
    rate: float,
    trained: Params,
) -> Array:
    """Realised change of both sums of every pair under its own SGD step, [N, 2].

    Args:
      logps_fn: (params, data) -> token log-probabilities.
      params: before the step.
      data: N pairs.
      weights: [2, N, R] token weights.
      rate: learning rate, the same for all pairs.
      trained: like params; 0 freezes a coordinate.
    """

    def of_pair(item: tuple[PairArrays, Array]) -> Array:
        one = jax.tree.map(lambda leaf: leaf[None], item[0])
        before, pull = jax.vjp(lambda theta: logps_fn(theta, one), params)
        (gradient,) = pull(tuple(item[1][:, None]))
        step = jax.tree.map(jnp.multiply, gradient, trained)
        after = logps_fn(moved(params, step, -rate), one)
        return jnp.stack([jnp.sum(b - a) for a, b in zip(before, after, strict=True)])

    return jax.lax.map(of_pair, (data, jnp.swapaxes(weights, 0, 1)))


@partial(jax.jit, static_argnames="model")
def _hidden_measures(model: LanguageModel, params: Params, data: PairArrays):
    assert model.hidden is not None  # every kind's model is a decoder
    sides = [
        response_hidden(model.hidden(params, tokens), data.start, length)
        for tokens, length in (
            (data.chosen, data.chosen_length),
            (data.rejected, data.rejected_length),
        )
    ]
    return ches(*sides), ln_ches(*sides), last_hidden_cosine(*sides)


def pair_rows(scene: Scene, config: Config, **keys: object) -> Iterator[Row]:
    """One row per pair and measure; where a loss matters, it is DPO."""
    data, count = scene.kind.pairs, len(scene.kind.pairs)
    hidden = _hidden_measures(scene.kind.model, scene.params, data)
    # One-token answers share their only state: CHES is then 0, not its rounding.
    hidden = [jnp.where(jnp.abs(values) < 1e-9, 0, values) for values in hidden]
    for metric, values in zip(("ches", "ln_ches", "last_cosine"), hidden, strict=True):
        yield from per_pair(metric, values, **keys)
    edits = [pair_edits(pair.chosen, pair.rejected) for pair in scene.kind.tokenized]
    yield from per_pair("edit_norm", [edit.token for edit in edits], **keys)
    yield from per_pair("suffix_len", [edit.suffix for edit in edits], **keys)
    everything = jax.tree.map(jnp.ones_like, scene.params)
    products = products_of(scene.logps_fn, scene.params, data, everything)
    for metric in ("chosen", "rejected", "inner"):
        yield from per_pair(f"score_{metric}", getattr(products, metric), **keys)

    d_c, d_r = sequence_weights("dpo", scene.pairs)
    influences = influence_of_sums(products, d_c, d_r)
    found = entanglement(influences)
    dpo = {**keys, "loss": "dpo", "optimiser": "sgd"}
    yield from per_pair("case", found.case, **dpo)
    yield from per_pair("kappa_c", found.kappa_chosen, **dpo)
    norms = jnp.sqrt(
        d_c**2 * products.chosen
        - 2 * d_c * d_r * products.inner
        + d_r**2 * products.rejected
    )
    rate = float(config.own_step * scene.size / norms.mean())
    weights = dpo_weights(scene, d_c, d_r)
    realised = own_steps(scene.logps_fn, scene.params, data, weights, rate, everything)
    changes = rate * jnp.stack([found.chosen_change, found.rejected_change], -1)
    for column, side in enumerate(("chosen", "rejected")):
        yield from per_pair("own_pred", changes[:, column], side=side, **dpo)
        yield from per_pair("own_real", realised[:, column], side=side, **dpo)
        terms = rate * _terms(influences)[:, column]
        yield from per_pair("own_terms", terms, side=side, **dpo)

    ascent = scene.gradient(-weights, config.batch)
    total = [
        sum_changes(scene.logps_fn, scene.params, data.take(rows), ascent)[0]
        for rows in batches(count, config.batch)
    ]
    share = self_share(found.chosen_change, jnp.concatenate(total), count)
    yield from per_pair("self_share", share, side="chosen", **dpo)


def _terms(influences: Influence) -> np.ndarray:
    """Sizes of the two terms whose difference moves each side, [..., 2]."""
    chosen = np.abs(influences.chosen_own) + np.abs(influences.chosen_cross)
    rejected = np.abs(influences.rejected_own) + np.abs(influences.rejected_cross)
    return np.stack([chosen, rejected], axis=-1)


def dpo_weights(scene: Scene, d_c: Array, d_r: Array) -> Array:
    """[2, N, R] DPO's token weights, from its slopes."""
    sides = jnp.stack([-d_c, d_r])
    return sides[..., None] * scene.kind.pairs.mask(scene.kind.width)


def condition_rows(scene: Scene, config: Config, **keys: object) -> Iterator[Row]:
    """For every loss: where the sign of a pair's own change isn't the predicted one.

    Yields:
      sign_errors and signs_compared: counted over both sides of the batch's pairs,
      leaving out changes within the band in which the two terms cancel; and case, of
      each pair.
    """
    data = scene.kind.pairs.take(slice(config.batch))
    pairs = first(scene.pairs, config.batch)
    weights = all_weights(config.losses, pairs, config.longest_response)
    size = config.own_step * scene.size
    influences, realised = _conditions(
        scene.logps_fn, scene.params, data, weights, size
    )
    found = entanglement(influences, band=config.sign_band)
    terms = _terms(influences)
    predicted = np.stack([found.chosen_change, found.rejected_change], axis=-1)
    clear = np.abs(predicted) > config.sign_band * terms
    wrong = clear & (np.sign(predicted) != np.sign(realised))
    for index, loss in enumerate(config.losses):
        given = {**keys, "loss": loss, "optimiser": "sgd"}
        yield {**given, "metric": "sign_errors", "value": float(wrong[index].sum())}
        yield {**given, "metric": "signs_compared", "value": float(clear[index].sum())}
        if loss in config.shown_losses:
            yield from per_pair("case", found.case[index], **given, part="own step")


@partial(jax.jit, static_argnames="logps_fn")
def _conditions(
    logps_fn: Callable, params: Params, data: PairArrays, weights: Array, size: float
) -> tuple[Influence, Array]:
    """Influences [L, B], and realised own changes [L, B, 2] at steps of one norm."""

    def of_pair(item: tuple[PairArrays, Array]) -> tuple[Influence, Array]:
        one = jax.tree.map(lambda leaf: leaf[None], item[0])
        before, pull = jax.vjp(lambda theta: jnp.stack(logps_fn(theta, one)), params)
        scores = _by_side(jnp.ones_like(before))

        def of_loss(weights: Array) -> tuple[Influence, Array]:
            parts = jnp.concatenate([scores, _by_side(weights[:, None])])
            held = jax.lax.map(lambda part: pull(part)[0], parts)
            gram = stacked_inner(held, held, 1, 1)
            gradient = jax.tree.map(lambda leaf: leaf[2] + leaf[3], held)
            norm = tree_norm(gradient)
            factor = -size / jnp.where(norm > 0, norm, 1)
            after = jnp.stack(logps_fn(moved(params, gradient, factor), one))
            # Rows: scores of both sides; columns: the loss's parts, G_c = -part.
            found = Influence(-gram[0, 2], gram[0, 3], -gram[1, 2], gram[1, 3])
            return found, (after - before).sum((1, 2))

        return jax.lax.map(of_loss, item[1])

    by_pair = jnp.moveaxis(weights, 2, 0)  # [B, L, 2, R]
    found = jax.lax.map(of_pair, (data, by_pair))
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), found)


def _by_side(values: Array) -> Array:
    """[2, 1, R] -> [2, 2, 1, R]: one side's values alone, the other's 0."""
    return values * jnp.eye(2, dtype=values.dtype)[:, :, None, None]
