"""Short training runs, and what they did to the pairs they were trained on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays, pair_logps_fn
from analyses.common.rows import Row, row
from analyses.common.training import OPTIMISERS, epochs
from analyses.edit_distance.cells import Cell, losses_of, runs_of
from analyses.edit_distance.config import Config, Runs
from analyses.edit_distance.places import PLACES, SIDES, Places, places_of, token_mean
from analyses.edit_distance.rows import label_of
from analyses.edit_distance.scenes import Start, start_of
from gradlab.losses import resolve
from gradlab.training.accuracy import solved
from gradlab.types import Array, PairLogps, Params

EQUAL_RATE = "equal rate"
EQUAL_MARGIN = "equal margin"


@partial(jax.jit, static_argnames=("logps_fn", "losses", "optimiser"))
def train_path(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    order: Array,
    looks: Array,
    rate: Array | float,
    which: Array | int,
    *,
    losses: tuple[str, ...],
    optimiser: str = "adam",
) -> tuple[Params, Array]:
    """Trains on the mean loss of each step's pairs, and looks at the pairs in between.

    Args:
      logps_fn: as `analyses.common.arrays.pair_logps_fn`.
      params: start of the run.
      data: N pairs.
      pairs: [N, R] their log-probabilities at the start, with masks and reference.
      order: [K, B] row numbers of K steps.
      looks: [K] True where a step is followed by an evaluation.
      rate: learning rate.
      which: index of the loss in `losses`; traced, so that all share one program.
      losses: as `gradlab.losses.resolve` reads them.
      optimiser: key of `analyses.common.training.OPTIMISERS`.

    Returns:
      The last parameters, and the drift [K, 2, N, R] of every token since the start in
      nats, 0 on padding and where nobody looks.
    """
    method = OPTIMISERS[optimiser](rate)
    branches = [resolve(name).__call__ for name in losses]
    start = jnp.stack([pairs.chosen, pairs.rejected])
    mask = jnp.stack([pairs.chosen_mask, pairs.rejected_mask])

    def value(theta: Params, rows: Array) -> Array:
        given, some = jax.tree.map(lambda leaf: leaf[rows], (data, pairs))
        chosen, rejected = logps_fn(theta, given)
        some = replace(some, chosen=chosen, rejected=rejected)
        return jax.lax.switch(which, branches, some).mean()

    def drift_of(theta: Params) -> Array:
        return jnp.where(mask, jnp.stack(logps_fn(theta, data)) - start, 0)

    def update(carry, step: tuple[Array, Array]):
        (theta, state), (rows, looked) = carry, step
        change, state = method.update(jax.grad(value)(theta, rows), state, theta)
        theta = optax.apply_updates(theta, change)
        drift = jax.lax.cond(looked, drift_of, lambda _: jnp.zeros_like(start), theta)
        return (theta, state), drift

    first = (params, method.init(params))
    (params, _), drifts = jax.lax.scan(update, first, (order, looks))
    return params, drifts


@partial(jax.jit, static_argnames="logps_fn")
def at_reference(logps_fn: Callable, params: Params, data: PairArrays) -> PairLogps:
    """The pairs' log-probabilities where policy and reference are the same."""
    chosen, rejected = logps_fn(params, data)
    masks = data.mask(chosen.shape[-1])
    return PairLogps(
        chosen, rejected, masks[0], masks[1], ref_chosen=chosen, ref_rejected=rejected
    )


def run_rows(config: Config, cell: Cell, seed: int) -> Iterator[Row]:
    """Trains one cell under one seed and measures it.

    Yields:
      The rows of `measured_rows` and `profile_rows`; choice_acc, the share of held-out
      pairs whose chosen response is the likelier one, and choice_start, the same before
      (of DPO's cells, which stand for all); for word problems acc, the share solved.
    """
    start, runs = (
        start_of(config, cell.kind, seed, cell.fit),
        runs_of(config, cell.kind),
    )
    made = start.pairs(cell.edit)
    train, held = made[: runs.pairs], made[runs.pairs :]
    logps_fn = pair_logps_fn(start.model, start.shape[1])
    data, other = start.arrays(train), start.arrays(held)
    rng = np.random.default_rng([seed, 3])
    order = epochs(runs.pairs, runs.steps, runs.batch, rng)
    looks = np.isin(np.arange(1, runs.steps + 1), runs.looks)
    losses = losses_of(config)
    params, drifts = train_path(
        logps_fn,
        start.params,
        data,
        at_reference(logps_fn, start.params, data),
        jnp.asarray(order),
        jnp.asarray(looks),
        cell.rate,
        losses.index(cell.loss),
        losses=losses,
    )
    keys = keys_of(cell, seed)
    places = places_of(train, start.shape[1])
    drifts = np.asarray(drifts, float)[looks]
    yield from measured_rows(drifts, places, runs, cell, keys)
    if cell.detailed:
        yield from profile_rows(drifts[-1], places, config.offsets, keys)
    last = {**keys, "rule": EQUAL_RATE}
    yield row("choice_acc", _chosen_likelier(logps_fn, params, other), **last)
    if cell.loss == "dpo":
        before = _chosen_likelier(logps_fn, start.params, other)
        yield row("choice_start", before, **last)
    if start.tokenizer is not None:
        yield row("acc", accuracy(start, params), **last)


def keys_of(cell: Cell, seed: int) -> dict[str, object]:
    """What names a cell in the table; 0 edited tokens are the whole response."""
    bound = resolve(cell.loss)
    known = (bound.info.defaults if bound.info else {}) | bound.hyper
    strengths = {name: known[name] for name in ("beta", "lam") if name in known}
    return {
        "kind": cell.kind,
        "loss": label_of(cell.loss),
        "seed": seed,
        "edit_kind": cell.edit.operation if cell.edit.tokens else "whole",
        "edit_tokens": cell.edit.tokens,
        "edit_pos": cell.edit.place,
        "fit": cell.fit,
        "lr": cell.rate,
        **strengths,
    }


def measured_rows(
    drifts: np.ndarray,
    places: Places,
    runs: Runs,
    cell: Cell,
    keys: dict,
) -> Iterator[Row]:
    """What a run did, from its token drifts.

    Args:
      drifts: [S, 2, N, R] in nats.
      places: of the tokens.
      runs: settings, with the S evaluations and the margin of the comparison.
      cell: of the run.
      keys: of the rows.

    Yields:
      d_sum by side: mean over pairs of the response's drift; of a detailed cell at
      every step. At the end d_after by side, and of the chosen side d_before, d_at and
      d_suffix: mean drift of such tokens, pooled over pairs, nats per token;
      below_start: share of pairs whose chosen response is less likely than before.
      Under the rule "equal margin" d_sum, and d_after of the chosen side, where the
      gain of margin passes that level between two evaluations, in proportion; nothing
      of a run that has it at the first evaluation already, or never.
    """
    sums = drifts.sum(-1).mean(-1)  # [S, 2]
    after = places.of("after")[0]
    means = [token_mean(drift[0], after) for drift in drifts]
    steps, last = runs.looks, {**keys, "rule": EQUAL_RATE}
    for side, name in enumerate(SIDES):
        if cell.detailed:
            for step, value in zip(steps[:-1], sums[:-1, side], strict=True):
                yield row("d_sum", value, side=name, step=step, **last)
        given = {**last, "side": name, "step": steps[-1]}
        yield row("d_sum", sums[-1, side], **given)
        for place in PLACES:
            where = places.of(place)[side]
            if where.any() and (name == "chosen" or place == "after"):
                value = token_mean(drifts[-1, side], where)
                yield row(f"d_{place}", value, **{**last, "side": name})
    yield row("below_start", np.mean(drifts[-1, 0].sum(-1) < 0), **last)
    at = reaching(sums[:, 0] - sums[:, 1], runs.margin)
    if at is not None:
        matched = {**keys, "rule": EQUAL_MARGIN}
        for side, name in enumerate(SIDES):
            yield row("d_sum", along(sums[:, side], at), side=name, **matched)
        if after.any():
            value = along(np.array(means), at)
            yield row("d_after", value, side="chosen", **matched)


def reaching(path: np.ndarray, level: float) -> float | None:
    """Where a path first passes a level between two evaluations, in evaluations.

    Returns:
      None where it never does, or is above the level at the first evaluation: what a
      trained model had there is then unknown.

    Example:
      >>> reaching(np.array([1.0, 3.0]), 2.0)
      0.5
    """
    above = np.flatnonzero(path >= level)
    if not len(above) or above[0] == 0:
        return None
    end = int(above[0])
    return float(end - (path[end] - level) / (path[end] - path[end - 1]))


def along(path: np.ndarray, at: float) -> float:
    """The value of a path between evaluations, in proportion."""
    return float(np.interp(at, np.arange(len(path)), path))


def profile_rows(
    drift: np.ndarray, places: Places, farthest: int, keys: dict
) -> Iterator[Row]:
    """profile by offset: mean drift of the chosen tokens there; profile_count."""
    for offset in range(-farthest, farthest + 1):
        there = places.mask[0] & (places.offset[0] == offset)
        if there.any():
            given = {**keys, "rule": EQUAL_RATE, "side": "chosen", "offset": offset}
            yield row("profile", token_mean(drift[0], there), **given)
            if keys["loss"] == "dpo":
                yield row("profile_count", there.sum(), **given)


def _chosen_likelier(logps_fn: Callable, params: Params, data: PairArrays) -> float:
    found = at_reference(logps_fn, params, data)
    chosen, rejected = (
        jnp.where(mask, logps, 0).sum(-1)
        for logps, mask in (
            (found.chosen, found.chosen_mask), (found.rejected, found.rejected_mask)
        )
    )  # fmt: skip
    return float(jnp.mean(chosen > rejected))


def accuracy(start: Start, params: Params) -> float:
    """The share of the start's problems whose greedy solution has the right answer."""
    assert start.tokenizer is not None
    found = solved(start.model, params, start.tokenizer, start.problems)
    return found["answer_right"]["right"] / found["answer_right"]["of"]


def start_rows(config: Config, kind: str, seed: int) -> Iterator[Row]:
    """acc_start: the share of word problems that the start solves."""
    start = start_of(config, kind, seed)
    if start.tokenizer is not None:
        yield row("acc_start", accuracy(start, start.params), kind=kind, seed=seed)
