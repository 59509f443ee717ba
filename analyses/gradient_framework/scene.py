"""Data and models of a setting of the forked dialogues, all seeds together."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.training import epochs
from analyses.gradient_framework.config import Config, Setting
from analyses.gradient_framework.dialogue import (
    Contexts,
    Grammar,
    make_contexts,
    make_grammar,
    make_pairs,
    training_contexts,
)
from gradlab.models import DecoderConfig, LanguageModel, build
from gradlab.types import Params


@dataclass(frozen=True)
class Scene:
    """A setting under S seeds.

    Attributes:
      setting: what was varied.
      seeds: of the study.
      grammars: of each seed.
      train: [S, N, ...] pairs.
      contexts: held-out ones of each seed.
      held: [S, H, ...] a pair of each; the bad example is always a bad one.
      support: [S, H, R, V] what the grammar ever has at each position of the good one.
    """

    setting: Setting
    seeds: Sequence[int]
    grammars: Sequence[Grammar]
    train: PairArrays
    contexts: Sequence[Contexts]
    held: PairArrays
    support: np.ndarray

    @property
    def width(self) -> int:
        """R: padded response length."""
        return self.grammars[0].width

    @property
    def length(self) -> int:
        """T: prompt and response."""
        return self.grammars[0].prompt_length + self.width

    @property
    def vocabulary(self) -> int:
        """V."""
        return self.grammars[0].vocabulary

    def order(self, steps: int, batch: int, *, among: int, part: int) -> np.ndarray:
        """[S, steps, batch] rows of the first `among` pairs; another order per part."""
        orders = (
            epochs(among, steps, batch, np.random.default_rng([seed, 5, part]))
            for seed in self.seeds
        )
        return np.stack(list(orders))


def make_scene(
    config: Config, setting: Setting, seeds: Sequence[int], pairs: int
) -> Scene:
    """Draws grammar, training pairs and held-out contexts of every seed."""
    grammars, train, contexts, held, support = [], [], [], [], []
    for seed in seeds:
        rngs = [np.random.default_rng([seed, part]) for part in range(4)]
        grammar = make_grammar(config.dialogue, setting, rngs[0])
        seen = training_contexts(config.dialogue, pairs, rngs[1])
        train.append(make_pairs(grammar, seen, rngs[2], setting.false_neg))
        fresh = _unseen(config, seen, rngs[3])
        held.append(make_pairs(grammar, fresh, rngs[3]))
        grammars.append(grammar)
        contexts.append(fresh)
        support.append(grammar.support(fresh))
    return Scene(
        setting, seeds, grammars, stacked(train), contexts, stacked(held),
        np.stack(support),
    )  # fmt: skip


def stacked(parts: Sequence):
    """Equal trees with a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *parts)


def _unseen(config: Config, seen: Contexts, rng: np.random.Generator) -> Contexts:
    """Held-out contexts: none has history and utterance of a training one."""

    def keys(contexts: Contexts) -> np.ndarray:
        symbols = np.concatenate([contexts.history, contexts.utterance], axis=1)
        return symbols @ config.dialogue.symbols ** np.arange(symbols.shape[1])

    drawn = make_contexts(config.dialogue, 4 * config.held, rng)
    rows = np.flatnonzero(~np.isin(keys(drawn), keys(seen)))[: config.held]
    return drawn.take(rows)


def decoders(config: Config, scene: Scene) -> tuple[LanguageModel, Params]:
    """A decoder, and fresh weights [S, ...] of every seed."""
    shape = DecoderConfig(
        vocab_size=scene.vocabulary,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        ff_width=2 * config.width,
        max_length=scene.length,
    )
    built = [build(shape, seed=seed) for seed in scene.seeds]
    params = jax.tree.map(lambda *x: jnp.stack(x), *[params for _, params in built])
    return built[0][0], params
