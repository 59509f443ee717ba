"""Real pairs with stories260K: weights and correlations with length.

The policy is the reference after a few DPO steps of fixed size on other pairs of the
same set: at the reference itself every margin with a reference is 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays, pair_logps_fn, pair_stats
from analyses.common.rows import Row, row
from analyses.length_sensitivity.config import Config, Real
from gradlab.data import TokenizedPair, load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.sources import file_digest
from gradlab.gradients import pair_products, score_sum, value_and_token_weights
from gradlab.gradients.groups import tree_norm
from gradlab.inputs.scored import kept_tokens
from gradlab.losses import resolve
from gradlab.measures import (
    averages_tokens,
    length_r_squared,
    length_weights,
    margin,
    partial_rank_correlation,
)
from gradlab.models import LanguageModel, load_model
from gradlab.tables import estimate
from gradlab.types import PairLogps, Params

FILES = {
    "hh_helpful": "hh_helpful_base_test.jsonl",
    "hh_harmless": "hh_harmless_base_test.jsonl",
    "gsm8k": "gsm8k_corrupt_one_step_pairs.jsonl",
    "llmbar": "llmbar_pairs.jsonl",
}
STORIES = "models/stories260K"
# One weight per response: their gradient norms follow from the two score gradients.
LOSSES = (
    "mle", "dpo", "averaged_dpo", "ipo", "ipo(reduction=mean)", "simpo", "rdpo", "wpo",
)  # fmt: skip
UNEVEN = ("lddpo", "sampo")
BINS = 6


def missing(config: Config, data: Path | None) -> dict[str, str]:
    """Set -> which of its files isn't there."""
    found = {}
    for name in config.real.datasets:
        files = [FILES[name], STORIES]
        absent = [f for f in files if data is None or not (data / f).exists()]
        if absent:
            found[name] = f"optional data absent: {', '.join(absent)}"
    return found


def digests(config: Config, data: Path | None) -> dict[str, str]:
    """File -> SHA-256 of the optional data that the study reads."""
    there = [n for n in config.real.datasets if n not in missing(config, data)]
    return {FILES[n]: file_digest(data / FILES[n]) for n in there} if data else {}


@dataclass(frozen=True)
class Scene:
    """Pairs of one set under policy and reference.

    Attributes:
      pairs: [N] log-probabilities with all that losses read.
      same: the same with the reference as policy.
      products: squared norms of the two score gradients and their inner product, [N].
    """

    pairs: PairLogps
    same: PairLogps
    products: tuple[np.ndarray, np.ndarray, np.ndarray]


def dataset_rows(config: Config, name: str, data: Path) -> Iterator[Row]:
    """Weights by length, and correlations with bootstrap intervals, of one set."""
    scene = make_scene(config.real, data / FILES[name], data / STORIES)
    yield from measured_rows(scene, config.draws, {"kind": name, "seed": 0})


@lru_cache
def _load(folder: Path) -> tuple[LanguageModel, Params]:
    return load_model(folder)


def fitting(real: Real, path: Path, model: Path) -> list[TokenizedPair]:
    """Pairs whose responses fit uncut, in an order of their own.

    The model never saw its end token in training, so none is appended. Pairs that are
    the same once cut are left out.
    """
    found = tokenize_pairs(
        read_pairs(path), load_tokenizer(model), max_length=real.length,
        append_eos=False, on_bad_row="skip",
    )  # fmt: skip
    good = [
        pair
        for pair in found
        if max(len(pair.chosen), len(pair.rejected)) <= real.longest
        and not pair.chosen_dropped + pair.rejected_dropped
    ]
    order = np.random.default_rng(9).permutation(len(good))
    return [good[i] for i in order[: real.pairs + real.others]]


def make_scene(real: Real, path: Path, folder: Path) -> Scene:
    """Scores the pairs with the reference and with the policy led away from it."""
    model, reference = _load(folder)
    reference = jax.tree.map(jnp.asarray, reference)
    arrays = make_arrays(fitting(real, path, folder), real.length)
    studied, others = (
        arrays.take(slice(real.pairs)),
        arrays.take(slice(real.pairs, None)),
    )
    params = led_away(model, reference, others, real)
    width = real.longest
    pairs, same = (
        score(model, p, reference, studied, width) for p in (params, reference)
    )
    products = jax.jit(
        lambda p: pair_products(
            score_sum, pair_logps_fn(model, width), p, studied, pairs, microbatch=1
        )[1]
    )(params)
    sums = (products.chosen_sq, products.rejected_sq, products.inner)
    return Scene(pairs, same, tuple(np.asarray(x).sum(-1) for x in sums))


def led_away(
    model: LanguageModel, reference: Params, others: PairArrays, real: Real
) -> Params:
    """The reference after DPO steps of fixed length on other pairs."""
    logps_fn, width = pair_logps_fn(model, real.longest), real.longest
    base, loss = score(model, reference, reference, others, width), resolve("dpo")

    @jax.jit
    def step(params: Params) -> Params:
        def value(theta: Params):
            chosen, rejected = logps_fn(theta, others)
            return loss(replace(base, chosen=chosen, rejected=rejected)).mean()

        slope = jax.grad(value)(params)
        size = real.step * tree_norm(reference) / tree_norm(slope)
        return jax.tree.map(lambda leaf, g: leaf - size * g, params, slope)

    params = reference
    for _ in range(real.steps):
        params = step(params)
    return params


def score(model, params, reference, data: PairArrays, width: int) -> PairLogps:
    """Log-probabilities of the pairs with every field that the losses read."""
    logps, squares = pair_stats(model, params, data, width)
    ref = logps if params is reference else pair_stats(model, reference, data, width)[0]
    masks = data.mask(width)
    keep = kept_tokens(np.asarray(masks[0]), np.asarray(masks[1]), 0)
    fields: dict[str, Any] = {}
    for number, side in enumerate(("chosen", "rejected")):
        fields[side], fields[f"{side}_mask"] = logps[number], masks[number]
        fields[f"ref_{side}"] = ref[number]
        fields[f"{side}_logsumsq"] = squares[number]
        fields[f"{side}_keep"] = jnp.asarray(keep[number], float)
    return PairLogps(**fields)


def measured_rows(scene: Scene, draws: int, keys: Mapping) -> Iterator[Row]:
    """Lengths, weights by length at the reference, correlations under the policy."""
    counts = np.stack(
        [np.asarray(m).sum(1) for m in (scene.pairs.chosen_mask,
                                        scene.pairs.rejected_mask)], -1
    )  # fmt: skip
    gap = counts[:, 0] - counts[:, 1]
    yield row("chosen_longer", (gap > 0).mean(), **keys)
    yield row("chosen_shorter", (gap < 0).mean(), **keys)
    for loss in (*LOSSES, *UNEVEN):
        yield from _profile_rows(loss, scene.same, counts, {"loss": loss, **keys})
        yield from _correlation_rows(loss, scene, counts, draws, {"loss": loss, **keys})


def _profile_rows(loss: str, pairs: PairLogps, counts, keys) -> Iterator[Row]:
    """Mean mass and weight per token in bins of length, over the loss's own means."""
    found = length_weights(value_and_token_weights(loss, pairs)[1], pairs)
    length = counts.ravel()
    edges = np.unique(np.quantile(length, np.linspace(0, 1, BINS + 1)[1:-1]))
    part = np.searchsorted(edges, length, side="left")
    for metric, sides in (("w_abs", found.per_token), ("mass", found.mass)):
        values = np.stack([np.asarray(x) for x in sides], -1).ravel()
        used = values > 0
        for number in np.unique(part[used]):
            own = used & (part == number)
            mean = values[own].mean() / values[used].mean()
            place = {"L_c": round(length[own].mean()), "quartile": int(number)}
            yield row(metric, mean, part="reference", **place, **keys)


def _correlation_rows(loss: str, scene: Scene, counts, draws: int, keys):
    pairs = scene.pairs
    info = resolve(loss)
    averaged = averages_tokens(loss)
    weights = value_and_token_weights(loss, pairs)[1]
    found = length_weights(weights, pairs)
    slope = found.slope_averaged if averaged else found.slope_summed
    quantities: dict[str, Any] = {
        "margin": margin(pairs, averaged=averaged, reference=info.needs_reference),
        "slope": jnp.abs(slope),
    }
    if loss in LOSSES:
        quantities["gradient"] = _gradient_norms(weights, counts, scene.products)
    per_token = margin(pairs, averaged=True, reference=info.needs_reference)
    lengths = {"L_c": counts[:, 0], "L_r": counts[:, 1],
               "gap": counts[:, 0] - counts[:, 1]}  # fmt: skip
    for quantity, values in quantities.items():
        for length, count in lengths.items():
            columns = {"plain": [values, count], "given": [values, count, per_token]}
            for part, given in columns.items():
                named = {"quantity": quantity, "part": part, "side": length, **keys}
                yield from _estimate_rows("rho", given, draws, named)
    if info.needs_reference:
        rewards = np.stack([np.asarray(quantities["margin"]), 0 * counts[:, 0]], -1)
        values = np.stack([rewards, counts], -1)
        one = estimate([values], length_r_squared, draws=draws)
        for name, number in (("", one.effect), ("_low", one.boot_low),
                             ("_high", one.boot_high)):  # fmt: skip
            yield row(f"r2_len{name}", number, part="data", **keys)


def _estimate_rows(metric: str, columns: Sequence, draws: int, keys) -> Iterator[Row]:
    values = np.stack([np.asarray(x, float) for x in columns], -1)
    still = np.ptp(values, axis=0) <= 1e-6 * np.abs(values).max(axis=0)
    if still[0]:
        return  # it doesn't vary, so there is no correlation
    found = estimate([values], partial_rank_correlation, draws=draws)
    for name, number in (("", found.effect), ("_low", found.boot_low),
                         ("_high", found.boot_high)):  # fmt: skip
        if np.isfinite(number):
            yield row(f"{metric}{name}", number, **keys)


def _gradient_norms(weights, counts, products) -> np.ndarray:
    """||w_c s_c + w_r s_r|| of each pair, for one weight w per response."""
    one, two = (np.asarray(w).sum(1) / counts[:, k] for k, w in
                enumerate((weights.chosen, weights.rejected)))  # fmt: skip
    chosen, rejected, inner = products
    square = one**2 * chosen + two**2 * rejected + 2 * one * two * inner
    return np.sqrt(np.maximum(square, 0))
