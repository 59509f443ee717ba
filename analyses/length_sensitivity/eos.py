"""What the end token gets: its share of a loss's weight and logit energy."""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.length_sensitivity.cells import Bench
from analyses.length_sensitivity.real import score
from gradlab.gradients import logit_gradient_norm, token_weights

LOSSES = ("mle", "dpo", "averaged_dpo", "simpo", "wpo")
BINS = 6


def eos_rows(bench: Bench, data: Sequence[PairArrays]) -> Iterator[Row]:
    """By length, at the reference, over the responses on both sides.

    w_eos: mean |w| of the end token over the mean |w| of all tokens of the batch.
    eos_share: its share of the response's |w|. eos_energy: of its squared logit
    gradient.
    """
    for number, seed in enumerate(bench.config.seeds):
        ref, some = bench.references[number], data[number]
        pairs = score(bench.model, ref, ref, some, bench.width)
        masks = np.stack([pairs.chosen_mask, pairs.rejected_mask]).reshape(
            -1, bench.width
        )
        length = masks.sum(1)
        edges = np.unique(np.quantile(length, np.linspace(0, 1, BINS + 1)[1:-1]))
        part = np.searchsorted(edges, length, side="left")
        for loss in LOSSES:
            found = token_weights(loss, pairs)
            sides = [
                (found.chosen, pairs.chosen, jnp.asarray(pairs.chosen_logsumsq)),
                (found.rejected, pairs.rejected, jnp.asarray(pairs.rejected_logsumsq)),
            ]
            weight = np.concatenate([np.abs(w) for w, *_ in sides])
            energy = np.concatenate([logit_gradient_norm(*side) for side in sides]) ** 2
            keys = {"kind": "eos", "loss": loss, "seed": seed}
            yield from _bins(weight, energy, masks, length, part, keys)


def _bins(weight, energy, masks, length, part, keys) -> Iterator[Row]:
    last = np.arange(masks.shape[1]) == length[:, None] - 1
    used = weight.sum(1) > 0
    mean = weight[masks.astype(bool) & used[:, None]].mean()
    for number in np.unique(part):
        own = used & (part == number)
        if not own.any():
            continue
        place = {"quartile": int(number), **keys}
        yield row("length", length[own].mean(), **place)
        yield row("w_eos", weight[own][last[own]].mean() / mean, **place)
        for metric, values in (("eos_share", weight), ("eos_energy", energy)):
            total = values[own].sum(1)
            share = values[own][last[own]] / np.where(total > 0, total, np.nan)
            yield row(metric, np.nanmean(share), **place)
