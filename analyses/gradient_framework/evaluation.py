"""What a policy does on held-out contexts of the forked dialogues, exactly counted."""

from collections.abc import Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.dialogue import BEGIN, END, Grammar
from analyses.gradient_framework.runs import Runner
from analyses.gradient_framework.scene import Scene
from gradlab.models import LanguageModel
from gradlab.training.generate import generate
from gradlab.types import Array, Params

Measures = Mapping[str, np.ndarray]  # measure -> [S], or [S, contexts, samples]


def likelihoods(runner: Runner, params: Params, data: PairArrays) -> Measures:
    """Of every seed: cross-entropies, agility, pairwise accuracy.

    Returns:
      ce_pos, ce_neg: nats per token of the good and the bad examples.
      agility: their difference, bad - good; raised by harming the bad ones alone too.
      accuracy: share of pairs whose good example has more log-probability per token.
      margin: mean of S_c - S_r, nats.
    """
    sums = [side.sum(-1, dtype=float) for side in runner.logps(params, data)]
    chosen, rejected = np.asarray(data.chosen_length), np.asarray(data.rejected_length)
    ce_pos = -sums[0].sum(-1) / chosen.sum(-1)
    ce_neg = -sums[1].sum(-1) / rejected.sum(-1)
    return {
        "ce_pos": ce_pos,
        "ce_neg": ce_neg,
        "agility": ce_neg - ce_pos,
        "accuracy": (sums[0] / chosen > sums[1] / rejected).mean(-1),
        "margin": (sums[0] - sums[1]).mean(-1),
    }


def off_support(model: LanguageModel, params: Params, scene: Scene) -> np.ndarray:
    """[S] probability on tokens that the grammar never has there, mean per position.

    At the positions of the held-out good examples, in their own context.
    """
    found = _off_support(model, params, scene.held, scene.support)
    return np.asarray(found, float)


@partial(jax.jit, static_argnames="model")
def _off_support(
    model: LanguageModel, params: Params, held: PairArrays, support: Array
) -> Array:
    width = support.shape[-2]

    def seed(given):
        theta, data, allowed = given
        probs = jax.nn.softmax(model.apply(theta, data.chosen))
        before = data.chosen.shape[1] - width - 1
        outside = jnp.where(allowed, 0, probs[:, before:-1]).sum(-1)
        inside = data.mask(width)[0]
        return jnp.where(inside, outside, 0).sum() / inside.sum()

    return jax.lax.map(seed, (params, held, support))


def samples(config: Config, model: LanguageModel, params: Params, scene: Scene):
    """[S, contexts, samples, R] responses drawn at temperature 1, padded with BEGIN.

    Context and sample alone seed a draw, so that all losses share their random numbers.
    """
    found = []
    for place, (grammar, contexts) in enumerate(
        zip(scene.grammars, scene.contexts, strict=True)
    ):
        prompts = grammar.prompts(contexts)[: config.sampled].tolist()
        rows = generate(
            model,
            jax.tree.map(lambda leaf, i=place: leaf[i], params),
            [prompt for prompt in prompts for _ in range(config.samples)],
            max_new_tokens=grammar.width,
            eos_id=END,
            temperature=1.0,
            key=jax.random.key(scene.seeds[place]),
            batch_size=config.sampled * config.samples,
        )
        padded = np.full((len(rows), grammar.width), BEGIN, np.int32)
        for line, row in zip(padded, rows, strict=True):
            line[: len(row)] = row
        found.append(padded.reshape(-1, config.samples, grammar.width))
    return np.stack(found)


def of_samples(scene: Scene, drawn: np.ndarray) -> Measures:
    """Slots filled correctly, and diversity within a context's samples.

    Args:
      scene: its grammars count.
      drawn: from `samples`.

    Returns:
      slot_share: [S, contexts, samples]; slot_acc: [S], its mean.
      distinct1, distinct2: [S] distinct n-grams over all in the samples of a context,
      each cut to the shortest length of a response; mean over contexts.
    """
    shares = np.stack([_slot_share(*given) for given in zip(
        scene.grammars, scene.contexts, drawn, strict=True)])  # fmt: skip
    budget = scene.grammars[0].config.shortest
    return {
        "slot_share": shares,
        "slot_acc": shares.mean((1, 2)),
        **{
            f"distinct{n}": np.array([distinct(part, budget, n) for part in drawn])
            for n in (1, 2)
        },
    }


def _slot_share(grammar: Grammar, contexts, drawn: np.ndarray) -> np.ndarray:
    some = contexts.take(slice(len(drawn)))
    columns = [grammar.slot_share(some, part) for part in drawn.transpose(1, 0, 2)]
    return np.stack(columns, axis=1)


def distinct(drawn: np.ndarray, budget: int, n: int) -> float:
    """Distinct over all n-grams in the first `budget` tokens, mean over contexts.

    Args:
      drawn: [contexts, samples, R], padded with BEGIN.
      budget: tokens of every sample that count.
      n: length of the n-grams.
    """
    shares = []
    for texts in drawn[:, :, :budget]:
        grams = [tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)]
        kept = [gram for gram in grams if BEGIN not in gram]
        shares.append(len(set(kept)) / len(kept) if kept else 0.0)
    return float(np.mean(shares))


def wins(one: Measures, other: Measures) -> np.ndarray:
    """[S] share of samples with more correct slots than the other's, ties half."""
    gap = one["slot_share"] - other["slot_share"]
    return ((gap > 0) + 0.5 * (gap == 0)).mean((1, 2))


def all_measures(
    config: Config, runner: Runner, params: Params, scene: Scene
) -> Measures:
    """Everything of one policy per seed."""
    drawn = samples(config, runner.model, params, scene)
    return {
        **likelihoods(runner, params, scene.held),
        "off_support": off_support(runner.model, params, scene),
        **of_samples(scene, drawn),
    }


def scalar(measures: Measures) -> Iterator[tuple[str, np.ndarray]]:
    """Those with one number per seed."""
    return ((name, x) for name, x in measures.items() if np.ndim(x) == 1)
