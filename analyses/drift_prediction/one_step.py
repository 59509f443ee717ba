"""Predicted against realised drift of every token, after one SGD step of each loss.

All losses start from the same policy, reference and pairs, and take steps of the same
norm. The model is linearised once; a loss then costs one pass back, one forward and a
forward pass at the new parameters.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.policy import Scene, all_weights, first, moved
from gradlab.gradients.groups import tree_norm
from gradlab.plotting.agreement import agreement_numbers
from gradlab.tables import estimate, rank_correlation
from gradlab.types import Array, Params

SUMS = ("count", "pred", "real", "pred2", "real2", "predreal")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Drifts:
    """Steps of every loss on the same batch, in nats; an axis of 2 is both sides.

    Attributes:
      losses: L labels.
      steps: K sizes.
      predicted: [L, K, 2, B, R] first-order drift of each token.
      realised: [L, K, 2, B, R] its true drift.
      norms: [L] gradient norm of the batch mean.
      mask: [2, B, R] True on response tokens.
    """

    losses: Sequence[str]
    steps: Sequence[float]
    predicted: np.ndarray
    realised: np.ndarray
    norms: np.ndarray
    mask: np.ndarray


def measure_drifts(scene: Scene, config: Config) -> Drifts:
    """Takes the steps of every loss."""
    data = scene.kind.pairs.take(slice(config.batch))
    pairs = first(scene.pairs, config.batch)
    weights = all_weights(config.losses, pairs, config.longest_response)
    sizes = jnp.asarray(config.steps) * scene.size
    norms, predicted, realised = map(
        np.asarray, _one_step(scene.logps_fn, scene.params, data, weights, sizes)
    )
    mask = np.asarray(data.mask(scene.kind.width))
    return Drifts(config.losses, config.steps, predicted, realised, norms, mask)


@partial(jax.jit, static_argnames="logps_fn")
def _one_step(
    logps_fn: Callable, params: Params, data: PairArrays, weights: Array, sizes: Array
) -> tuple[Array, Array, Array]:
    """Gradient norms [L], and drifts [L, K, 2, B, R] of steps of K norms."""

    def logps_of(theta: Params) -> Array:
        return jnp.stack(logps_fn(theta, data))

    before, push = jax.linearize(logps_of, params)
    pull = jax.linear_transpose(push, params)

    def of_loss(weights: Array) -> tuple[Array, Array, Array]:
        (gradient,) = pull(weights / len(data))
        norm = tree_norm(gradient)
        # A loss that pushes no token of this batch takes no step.
        factors = -sizes / jnp.where(norm > 0, norm, 1)
        predicted = factors[:, None, None, None] * push(gradient)

        def realised(factor: Array) -> Array:
            return logps_of(moved(params, gradient, factor)) - before

        return norm, predicted, jax.lax.map(realised, factors)

    return jax.lax.map(of_loss, weights)


def agreement_rows(drifts: Drifts, **keys: object) -> Iterator[Row]:
    """How well prediction and realisation agree over the tokens, for each loss.

    Yields:
      grad_norm; pearson and rel_err at every step size; at the smallest one spearman,
      calib, sign_agree, and what happens to the sums of both sides.
    """
    for index, loss in enumerate(drifts.losses):
        given = {**keys, "loss": loss, "optimiser": "sgd"}
        yield row("grad_norm", drifts.norms[index], **given)
        if drifts.norms[index] == 0:
            continue
        for step, eta in enumerate(drifts.steps):
            x, y = (
                t[index, step][drifts.mask] for t in (drifts.predicted, drifts.realised)
            )
            pearson, slope, error = agreement_numbers(x, y)
            yield row("pearson", pearson, eta=eta, **given)
            yield row("rel_err", error, eta=eta, **given)
        ranks = rank_correlation(np.stack([x, y], axis=-1)[None])[0]
        given["eta"] = eta
        yield row("spearman", ranks, **given)
        yield row("calib", slope, **given)
        yield row("sign_agree", np.mean(np.sign(x) == np.sign(y)), **given)
        yield from _sequence_rows(drifts, index, given)


def _sequence_rows(drifts: Drifts, index: int, keys: dict) -> Iterator[Row]:
    for number, side in enumerate(SIDES):
        for metric, table in (("pred", drifts.predicted), ("real", drifts.realised)):
            sums = np.where(drifts.mask[number], table[index, -1, number], 0).sum(-1)
            yield row(metric, sums.mean(), side=side, **keys)
            yield row(f"{metric}_falls", np.mean(sums < 0), side=side, **keys)


def token_rows(drifts: Drifts, config: Config, **keys: object) -> Iterator[Row]:
    """Single tokens at the smallest step, at equal distances through both sides."""
    places = np.argwhere(drifts.mask)
    places = places[:: max(1, -(-len(places) // config.shown_tokens))]
    for index, loss in enumerate(drifts.losses):
        if loss not in config.shown_losses:
            continue
        for side, pair, position in places:
            given = {
                **keys, "loss": loss, "optimiser": "sgd", "side": SIDES[side],
                "pair": pair, "position": position, "eta": drifts.steps[-1],
            }  # fmt: skip
            place = (index, -1, side, pair, position)
            yield row("token_pred", drifts.predicted[place], **given)
            yield row("token_real", drifts.realised[place], **given)


def pair_sums(drifts: Drifts) -> np.ndarray:
    """[B, L, K, 6] sums over the tokens of each pair: correlations follow from them."""
    x = np.where(drifts.mask, drifts.predicted, 0)
    y = np.where(drifts.mask, drifts.realised, 0)
    ones = np.broadcast_to(drifts.mask, x.shape).astype(float)
    parts = [ones, x, y, x * x, y * y, x * y]
    sums = [np.moveaxis(part.sum((2, 4)), -1, 0) for part in parts]
    return np.stack(sums, axis=-1)


def pooled_pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation over the tokens of several pairs.

    Args:
      sums: [draws, pairs, ..., 6] in the order of `SUMS`.

    Returns:
      [draws, ...]
    """
    n, x, y, xx, yy, xy = np.moveaxis(sums.sum(axis=1), -1, 0)
    spread = np.sqrt(np.maximum((n * xx - x * x) * (n * yy - y * y), 0))
    return (n * xy - x * y) / np.where(spread > 0, spread, np.nan)


def bootstrap_rows(
    sums: Sequence[np.ndarray], config: Config, **keys: object
) -> Iterator[Row]:
    """Bootstrap intervals of Pearson's correlation, over seeds and pairs.

    Args:
      sums: for each seed the result of `pair_sums`.
      config: of the study.
      **keys: of the rows.

    Yields:
      pearson_low and pearson_high of every loss, and min_pearson_low, min_pearson_high
      of the least correlation among the losses without kinks.
    """
    for step, eta in enumerate(config.steps):
        given = [s[:, :, step] for s in sums]
        whole = np.stack([pooled_pearson(s[None])[0] for s in given])
        moving = np.isfinite(whole).all(axis=0)
        common = {**keys, "optimiser": "sgd", "eta": eta}
        for index in np.flatnonzero(moving):
            one = [s[:, index] for s in given]
            low, high = _interval(one, pooled_pearson, config.draws)
            loss = config.losses[int(index)]
            yield row("pearson_low", low, loss=loss, **common)
            yield row("pearson_high", high, loss=loss, **common)
        kinked = np.isin(config.losses, config.losses_with_kinks())
        least = [s[:, moving & ~kinked] for s in given]
        low, high = _interval(least, lambda s: pooled_pearson(s).min(-1), config.draws)
        yield row("min_pearson_low", low, **common)
        yield row("min_pearson_high", high, **common)


def _interval(samples, statistic, draws: int) -> tuple[float, float]:
    found = estimate(samples, statistic, draws=draws)
    return found.boot_low, found.boot_high


def concentration_rows(
    drifts: Drifts, scene: Scene, config: Config, **keys: object
) -> Iterator[Row]:
    """The share of |drift| on each response's top 5 % of tokens, and its null.

    The null shuffles the tokens' drifts across the responses of the batch; responses
    keep their lengths.
    """
    lengths = drifts.mask.sum(-1).ravel()
    if lengths.mean() < 10:  # the top 5 % of a few tokens is one of them, whatever
        return
    rng = np.random.default_rng([scene.seed, 5])
    for index, loss in enumerate(drifts.losses):
        values = np.abs(drifts.realised[index, -1][drifts.mask])
        if loss not in config.shown_losses or not values.any():
            continue
        null = [_top_share(rng.permutation(values), lengths) for _ in range(100)]
        given = {**keys, "loss": loss, "optimiser": "sgd"}
        yield row("top_share", _top_share(values, lengths), **given)
        yield row("top_share_null", np.mean(null), **given)


def _top_share(values: np.ndarray, lengths: np.ndarray) -> float:
    shares = []
    for part in np.split(values, np.cumsum(lengths)[:-1]):
        top = np.sort(part)[::-1][: max(1, round(0.05 * len(part)))]
        shares.append(top.sum() / part.sum() if part.sum() else np.nan)
    return float(np.nanmean(shares))
