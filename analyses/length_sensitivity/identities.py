"""What holds exactly: doubling, equal lengths, masses, first margins; also weights.

All in float64 on made-up log-probabilities; no model.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.length_sensitivity.config import WEIGHT_LOSSES, Config
from gradlab.gradients import token_weights, value_and_token_weights
from gradlab.losses import draw_kept, random_pairs, resolve
from gradlab.measures import (
    doubled,
    doubling_change,
    length_weights,
    margin,
    padding_effect,
)
from gradlab.types import Array, PairLogps

AVERAGED = ("averaged_dpo", "ipo(reduction=mean)", "simpo", "mle(reduction=mean)")
MAP_LOSSES = ("dpo", "averaged_dpo", "simpo", "rdpo", "lddpo(alpha=0.25)", "sampo")
BETA = 0.1
LAW = {"dpo": 1, "ipo": 1, "averaged_dpo": 0, "ipo(reduction=mean)": 0}  # mass ~ L^
PAIRS, WIDTH = 8, 24


def identity_rows(config: Config, seed: int) -> Iterator[Row]:
    """Errors of every identity, by claim and setting."""
    pairs = random_pairs(seed, batch=PAIRS, chosen_width=WIDTH, rejected_width=WIDTH)
    keys = {"kind": "identity", "seed": seed}

    numbers = itertools.count()

    def errors(claim: str, part: str, error, **more) -> Row:
        largest = float(np.max(np.abs(np.asarray(error))))
        place = {"quantity": claim, "part": part, "step": next(numbers)}
        return row("error", largest, **place, **keys, **more)

    for loss in AVERAGED:
        change = doubling_change(loss, pairs)
        yield errors("S2.1a", "averaged: unchanged", change, loss=loss)
    once, twice = (
        margin(p, averaged=False, reference=True) for p in (pairs, doubled(pairs))
    )
    yield errors("S2.1a", "summed: twice the margin", twice - 2 * once)
    for loss, error in _equal_lengths(seed):
        yield errors("S2.5", "values and token weights", error, loss=loss)
    for loss, power in LAW.items():
        for part, error in _masses(loss, power, pairs):
            yield errors("S2.6", part, error, loss=loss)
    error = _first_margin(pairs, config.alphas)
    yield errors("S2.12a", "policy-only LD-DPO", error, loss="lddpo")
    yield from _first_draws(pairs, config, keys)


def _equal_lengths(seed: int) -> Iterator[tuple[str, Array]]:
    """averaged DPO(beta L) against DPO(beta); averaged IPO(tau L) against IPO(tau)."""
    for length in (1, 5, WIDTH):
        pairs = random_pairs(seed, batch=PAIRS, chosen_width=length,
                             rejected_width=length)  # fmt: skip
        ones = jnp.ones_like(pairs.chosen)
        pairs = replace(pairs, chosen_mask=ones, rejected_mask=ones)
        for plain, averaged, name, scale in (
            ("dpo", "averaged_dpo", "beta", 1.0),
            ("ipo", "ipo(reduction=mean)", "tau", length**2),
        ):
            one = value_and_token_weights(plain, pairs, **{name: BETA})
            two = value_and_token_weights(averaged, pairs, **{name: BETA * length})
            gaps = [
                (a - scale * b) / jnp.maximum(1, jnp.abs(a).max())
                for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
            ]
            yield averaged, jnp.concatenate([gap.ravel() for gap in gaps])


def _masses(loss: str, power: int, pairs: PairLogps) -> Iterator[tuple[str, Array]]:
    """|c| L^power a side; the shorter side's tokens weigh more; the net prefix."""
    weights = token_weights(loss, pairs)
    found = length_weights(weights, pairs)
    c = -(found.slope_averaged if power == 0 else found.slope_summed)
    one, two = pairs.chosen_mask.sum(1), pairs.rejected_mask.sum(1)
    scale = jnp.maximum(1.0, jnp.abs(c) * jnp.maximum(one, two))
    expected = [jnp.abs(c) * length**power for length in (one, two)]
    for mass, law in zip(found.mass, expected, strict=True):
        yield "mass of a side", (mass - law) / scale
    ratio = found.per_token.chosen * one ** (1 - power)
    other = found.per_token.rejected * two ** (1 - power)
    yield "weight per token, short against long", (ratio - other) / scale
    net = weights.chosen[:, 0] + weights.rejected[:, 0]
    law = -c * (1 / one - 1 / two) if power == 0 else 0.0
    yield "net weight of a shared token", (net - law) / scale


def _first_margin(pairs: PairLogps, alphas) -> Array:
    """LD-DPO that weights the policy only, at policy = reference."""
    same = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    counts = [m.sum(1, keepdims=True) for m in (pairs.chosen_mask, pairs.rejected_mask)]
    shorter = jnp.minimum(*counts)
    tails = []
    for logps, mask in (
        (pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask)
    ):  # fmt: skip
        beyond = (jnp.cumsum(mask, 1) > shorter) & (mask > 0)
        tails.append(jnp.where(beyond, logps, 0).sum(1))
    gaps = []
    for alpha in alphas:
        first = BETA * (alpha - 1) * (tails[0] - tails[1])
        loss = resolve("lddpo", beta=BETA, alpha=alpha, weight_reference=False)
        gaps.append(loss(same) - jax.nn.softplus(-first))
    return jnp.stack(gaps)


def _first_draws(pairs: PairLogps, config: Config, keys) -> Iterator[Row]:
    """SamPO's first margins when policy and reference are drawn apart.

    The longer side keeps m of its L tokens, twice; the difference of the two sums has
    mean 0 and variance 2 m (1 - m / L) s^2, s^2 the sample variance of its log-probs.
    """
    same = replace(pairs, ref_chosen=pairs.chosen, ref_rejected=pairs.rejected)
    loss = partial(resolve("sampo").function, beta=BETA, shared_indices=False)
    seeds = jax.random.split(jax.random.key(keys["seed"]), config.sampo_draws)
    values = np.asarray(jax.lax.map(lambda key: loss(same, key=key), seeds))
    margins = -np.log(np.expm1(values))
    masks = (pairs.chosen_mask, pairs.rejected_mask)
    one, two = (
        np.asarray(_draw_variance(logps, mask, other))
        for logps, mask, other in (
            (pairs.chosen, *masks), (pairs.rejected, *masks[::-1])
        )
    )  # fmt: skip
    variance = BETA**2 * 2 * (one + two)
    for pair in np.flatnonzero(variance > 0):
        own, spread = margins[:, pair], np.sqrt(variance[pair])
        shared = {"pair": int(pair), "loss": "sampo(shared_indices=False)", **keys}
        yield row("first_margin_mean", own.mean() / spread, **shared)
        yield row("first_margin_spread", own.std() / spread, **shared)
        yield row("first_margin_sd", spread, **shared)
    kept = draw_kept(same, jax.random.key(0))
    shared_draw = replace(same, chosen_keep=kept.chosen, rejected_keep=kept.rejected)
    first = resolve("sampo")(shared_draw) - np.log(2)
    yield row("error", np.abs(first).max(), quantity="S2.12a", loss="sampo",
              part="SamPO, shared draw", **keys)  # fmt: skip


def _draw_variance(logps: Array, mask: Array, other: Array) -> Array:
    count, kept = mask.sum(1), jnp.minimum(mask.sum(1), other.sum(1))
    mean = jnp.where(mask > 0, logps, 0).sum(1) / count
    squares = jnp.where(mask > 0, (logps - mean[:, None]) ** 2, 0).sum(1)
    sample = squares / jnp.maximum(count - 1, 1)
    return jnp.where(kept < count, kept * (1 - kept / count) * sample, 0.0)


def even_pairs(chosen, rejected, *, total: float, width: int) -> PairLogps:
    """Pairs of these lengths whose summed log-ratios are +total / 2 and -total / 2.

    Every token has reference log-probability -1, and the log-ratio is spread evenly.
    """
    fields = {}
    for side, lengths, sign in (("chosen", chosen, 1), ("rejected", rejected, -1)):
        lengths = np.asarray(lengths)[:, None]
        mask = np.arange(width) < lengths
        ratio = sign * total / 2 / lengths
        fields[side] = jnp.asarray(np.where(mask, np.minimum(ratio - 1, -1e-3), 0.0))
        fields[f"{side}_mask"] = jnp.asarray(mask, float)
        fields[f"ref_{side}"] = jnp.asarray(np.where(mask, -1.0, 0.0))
        fields[f"{side}_logsumsq"] = jnp.asarray(np.where(mask, -1.0, 0.0))
        fields[f"{side}_keep"] = jnp.asarray(mask, float)
    pairs = PairLogps(**fields)
    kept = draw_kept(pairs, jax.random.key(0))
    return replace(pairs, chosen_keep=kept.chosen, rejected_keep=kept.rejected)


def weight_rows(config: Config) -> Iterator[Row]:
    """Weights along one length, over both, and under padding; the same for all seeds.

    "reference": policy = reference; "trained": a margin of 2 nats, spread evenly.
    """
    lengths = np.array(config.weight_lengths)
    width = int(lengths.max())
    middle = int(lengths[len(lengths) // 2])
    grid = np.stack(np.meshgrid(lengths, lengths), -1).reshape(-1, 2)
    grids = {
        part: even_pairs(grid[:, 0], grid[:, 1], total=total, width=width)
        for part, total in (("reference", 0.0), ("trained", 2.0))
    }
    for loss in (*WEIGHT_LOSSES, *(x for x in MAP_LOSSES if x not in WEIGHT_LOSSES)):
        for part, pairs in grids.items():
            keys = {"kind": "weights", "loss": loss, "seed": 0, "part": part}
            found = length_weights(token_weights(loss, pairs), pairs)
            for number, (one, two) in enumerate(grid):
                place = {"L_c": int(one), "L_r": int(two), **keys}
                if two == middle and loss in WEIGHT_LOSSES:
                    yield row("w_abs", found.per_token.chosen[number], **place)
                    yield row("mass", found.mass.chosen[number], **place)
                if loss in MAP_LOSSES:
                    ratio = found.mass.chosen[number] / found.mass.rejected[number]
                    yield row("mass_ratio", jnp.log2(ratio), **place)
    yield from _padding_rows(config)


def _padding_rows(config: Config) -> Iterator[Row]:
    pairs = even_pairs([16], [16], total=2.0, width=16)
    for loss in WEIGHT_LOSSES:
        for side in ("chosen", "rejected"):
            for kind in ("neutral", "typical"):
                keys = {"kind": "padding", "loss": loss, "seed": 0, "side": side}
                for count in config.paddings:
                    effect = padding_effect(loss, pairs, side, count, kind=kind)
                    more = {"part": kind, "step": count, **keys}
                    yield row("value_change", effect.value_change[0] * count, **more)
                    yield row("weight_ratio", effect.weight_ratio[0], **more)
