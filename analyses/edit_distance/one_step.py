"""One step: the drift that gradients predict, the drift that comes, the sign argument.

The wrong-way score of a token that both responses share after the difference is

    ww_t = p(y_t | chosen context) - p(y_t | rejected context).

If both contexts read one logit for that token, a step of DPO on the pair moves it by
-ww_t times a positive factor, at the reference the same for all pairs. Whether a
network follows, where contexts share parameters and not logits, is what the correlation
of -ww with the drift tells. The argument is about one pair, so each pair takes a step
of its own, all at one rate; under the step of a batch the other pairs' gradients move
its tokens too, and that correlation is kept beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays, pair_logps_fn
from analyses.common.rows import Row, row
from analyses.edit_distance.cells import first_edit, runs_of
from analyses.edit_distance.config import Config
from analyses.edit_distance.places import PLACES, Places, places_of, token_mean
from analyses.edit_distance.rows import label_of
from analyses.edit_distance.runs import at_reference
from analyses.edit_distance.scenes import start_of
from gradlab.data import TokenizedPair
from gradlab.gradients import value_and_token_weights
from gradlab.gradients.groups import tree_norm
from gradlab.measures import ches, pair_edits, response_hidden
from gradlab.models import LanguageModel
from gradlab.tables import rank_correlation
from gradlab.types import Array, PairLogps, Params


@dataclass(frozen=True)
class Steps:
    """What one step of each loss does, and the parameters after DPO's.

    Attributes:
      logps: [2, N, R] before the step, nats.
      predicted: [L, 2, N, R] to first order.
      moved: parameters after the first loss's step.
    """

    logps: np.ndarray
    predicted: np.ndarray
    moved: Params


@partial(jax.jit, static_argnames=("logps_fn", "losses"))
def _steps(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    size: Array,
    *,
    losses: tuple[str, ...],
) -> tuple[Array, Array, Params]:
    """Gradient steps of one norm, for each loss on the mean over the pairs."""

    def logps_of(theta: Params) -> Array:
        return jnp.stack(logps_fn(theta, data))

    before, push = jax.linearize(logps_of, params)
    pull = jax.linear_transpose(push, params)
    here = replace(pairs, chosen=before[0], rejected=before[1])
    found = [value_and_token_weights(loss, here)[1] for loss in losses]
    weights = jnp.stack([jnp.stack([w.chosen, w.rejected]) for w in found])

    def step_of(weights: Array) -> Params:
        (gradient,) = pull(weights / len(data))
        norm = tree_norm(gradient)
        factor = -size / jnp.where(norm > 0, norm, 1)
        return jax.tree.map(lambda g: factor * g, gradient)

    predicted = jax.lax.map(lambda w: push(step_of(w)), weights)
    moved = jax.tree.map(jnp.add, params, step_of(weights[0]))
    return before, predicted, moved


def take_steps(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    config: Config,
) -> Steps:
    """One step of each of the study's step losses, DPO's first.

    Args:
      logps_fn: as `analyses.common.arrays.pair_logps_fn`.
      params: before the step.
      data: N pairs.
      pairs: their masks and reference.
      config: losses, and the norm of a step over that of the parameters.
    """
    losses = tuple(dict.fromkeys(("dpo", *config.step_losses, *config.extra_losses)))
    size = config.step * tree_norm(params)
    found = _steps(logps_fn, params, data, pairs, size, losses=losses)
    logps, predicted = (np.asarray(part, float) for part in found[:2])
    return Steps(logps, predicted, found[2])


@partial(jax.jit, static_argnames="logps_fn")
def own_drifts(
    logps_fn: Callable, params: Params, data: PairArrays, pairs: PairLogps, size: Array
) -> tuple[Array, Array]:
    """What a step of DPO on each pair alone does to that pair.

    Args:
      logps_fn: as `analyses.common.arrays.pair_logps_fn`.
      params: before the step.
      data: N pairs.
      pairs: their masks, and log-probabilities that are also the reference's.
      size: norm of the longest pair's step; all have one rate.

    Returns:
      Predicted to first order, and realised, [2, N, R] each, in nats.
    """
    weights = value_and_token_weights("dpo", pairs)[1]
    items = jax.tree.map(
        lambda leaf: leaf[:, None], (data, (weights.chosen, weights.rejected))
    )

    def gradient_of(item: tuple) -> tuple[Callable, Params]:
        def logps_of(theta: Params) -> Array:
            return jnp.stack(logps_fn(theta, item[0]))

        _, pull = jax.vjp(logps_of, params)
        return logps_of, pull(jnp.stack(item[1]))[0]

    norms = jax.lax.map(lambda item: tree_norm(gradient_of(item)[1]), items)
    rate = size / norms.max()

    def of_pair(item: tuple) -> tuple[Array, Array]:
        logps_of, gradient = gradient_of(item)
        step = jax.tree.map(lambda g: -rate * g, gradient)
        before, predicted = jax.jvp(logps_of, (params,), (step,))
        moved = jax.tree.map(jnp.add, params, step)
        return predicted[:, 0], (logps_of(moved) - before)[:, 0]

    predicted, realised = jax.lax.map(of_pair, items)
    return jnp.swapaxes(predicted, 0, 1), jnp.swapaxes(realised, 0, 1)


def step_rows(
    config: Config,
    model: LanguageModel,
    params: Params,
    pairs: Sequence[TokenizedPair],
    shape: tuple[int, int],
    keys: dict,
    *,
    shown: bool,
) -> Iterator[Row]:
    """Measures one step on pairs, first at the reference, then after DPO's step.

    Args:
      config: of the study.
      model: the language model.
      params: of the reference.
      pairs: the batch.
      shape: padded tokens in all and of a response.
      keys: of the rows.
      shown: keep single tokens for a figure.

    Yields:
      At the reference, for DPO: ww_pred and ww_real, the rank correlations of -ww with
      predicted and realised drift of the chosen side's shared tokens under their pair's
      own step; ww_batch, with the predicted drift under the batch's; ww_tokens, their
      number; rho_ches and rho_edit, of a pair's CHES and edit distance with the fall of
      its chosen response; edit_norm, the mean edit distance over tokens.
      After DPO's step, for every loss and the chosen side: pred_sum, pred_before,
      pred_at and pred_after, as d_sum and its kin, in nats.
    """
    data, width = make_arrays(pairs, shape[0]), shape[1]
    logps_fn, places = pair_logps_fn(model, width), places_of(pairs, width)
    reference = at_reference(logps_fn, params, data)
    first = take_steps(logps_fn, params, data, reference, config)
    size = config.step * tree_norm(params)
    own = [
        np.asarray(part, float)
        for part in own_drifts(logps_fn, params, data, reference, size)
    ]
    drifts = {"pred": own[0], "real": own[1], "batch": first.predicted[0]}
    number = config.shown_tokens * shown
    yield from wrong_way_rows(first.logps, drifts, places, keys, number)
    yield from _pair_rows(model, params, data, pairs, first, places, keys)
    second = take_steps(logps_fn, first.moved, data, reference, config)
    losses = dict.fromkeys(("dpo", *config.step_losses, *config.extra_losses))
    for loss, drift in zip(losses, second.predicted, strict=True):
        given = {**keys, "loss": label_of(loss), "side": "chosen"}
        total = np.where(places.mask[0], drift[0], 0).sum(-1).mean()
        yield row("pred_sum", total, **given)
        for place in PLACES[:3]:
            where = places.of(place)[0]
            if where.any():
                yield row(f"pred_{place}", token_mean(drift[0], where), **given)


def wrong_way(logps: np.ndarray, places: Places) -> np.ndarray:
    """ww of every shared token after the difference, pair by pair."""
    chosen, rejected = places.shared(np.exp(logps))
    return chosen - rejected


def wrong_way_rows(
    logps: np.ndarray,
    drifts: Mapping[str, np.ndarray],
    places: Places,
    keys: dict,
    shown: int,
) -> Iterator[Row]:
    """Rank correlation of -ww with the drifts of the chosen side's shared tokens."""
    given = {**keys, "loss": "dpo", "side": "chosen"}
    score = wrong_way(logps, places)
    yield row("ww_tokens", len(score), **given)
    if len(score) < 3:
        return
    found = {name: drift[0][places.suffix[0]] for name, drift in drifts.items()}
    for name, drift in found.items():
        yield row(f"ww_{name}", spearman(-score, drift), **given)
    places_shown = np.argwhere(places.suffix[0])
    every = max(1, -(-len(score) // max(1, shown)))
    for number in range(0, len(score) * (shown > 0), every):
        pair, position = places_shown[number]
        place = {**given, "pair": pair, "position": position}
        yield row("token_ww", score[number], **place)
        for name in ("pred", "real"):
            yield row(f"token_{name}", found[name][number], **place)


def spearman(one: np.ndarray, two: np.ndarray) -> float:
    """Rank correlation; NaN where one of them is constant."""
    return float(rank_correlation(np.stack([one, two], axis=-1)[None])[0])


@partial(jax.jit, static_argnames="model")
def _ches(model: LanguageModel, params: Params, data: PairArrays) -> Array:
    assert model.hidden is not None  # every model of the study is a decoder
    sides = (
        (data.chosen, data.chosen_length), (data.rejected, data.rejected_length)
    )  # fmt: skip
    hidden = [
        response_hidden(model.hidden(params, tokens), data.start, length)
        for tokens, length in sides
    ]
    return ches(*hidden)


def _pair_rows(
    model: LanguageModel,
    params: Params,
    data: PairArrays,
    pairs: Sequence[TokenizedPair],
    steps: Steps,
    places: Places,
    keys: dict,
) -> Iterator[Row]:
    """How CHES and edit distance rank the pairs by the fall of the chosen response."""
    fall = -np.where(places.mask[0], steps.predicted[0, 0], 0).sum(-1)
    norms = np.array([pair_edits(pair.chosen, pair.rejected).token for pair in pairs])
    given = {**keys, "loss": "dpo", "side": "chosen"}
    yield row("edit_norm", norms.mean(), **given)
    for name, values in (("ches", _ches(model, params, data)), ("edit", norms)):
        rho = spearman(np.round(np.asarray(values, float), 9), fall)
        if np.isfinite(rho):
            yield row(f"rho_{name}", rho, **given)


def synthetic_rows(config: Config, kind: str, seed: int) -> Iterator[Row]:
    """One step on the smallest edit of a kind that is also trained on."""
    start = start_of(config, kind, seed)
    pairs = start.pairs(first_edit(config, kind))[: runs_of(config, kind).pairs]
    yield from step_rows(
        config, start.model, start.params, pairs, start.shape,
        {"kind": kind, "seed": seed}, shown=seed == config.seeds[0],
    )  # fmt: skip
