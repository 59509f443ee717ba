"""The half-trained decoder of a seed, its demonstrations, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, pair_logps_fn
from analyses.common.training import fit
from analyses.self_imitation.chains import (
    PROMPT,
    draw_chains,
    source_entropy,
    true_chains,
    vocabulary,
)
from analyses.self_imitation.config import Runs
from gradlab.models import DecoderConfig, LanguageModel, build, response_logps
from gradlab.training.generate import continuations
from gradlab.types import Array, PairLogps, Params


@dataclass(frozen=True)
class Scene:
    """What all losses of a seed share.

    Attributes:
      settings: of the runs.
      seed: of the study.
      model: the decoder.
      params: half-trained: the start of every run.
      demonstrations: [N, T] chains of the source that the fit hasn't seen.
      held_out: [M, T] further ones.
    """

    settings: Runs
    seed: int
    model: LanguageModel
    params: Params
    demonstrations: np.ndarray
    held_out: np.ndarray

    @property
    def width(self) -> int:
        """Tokens of a response."""
        return self.demonstrations.shape[1] - PROMPT

    @property
    def logps_fn(self) -> Callable:
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        return pair_logps_fn(self.model, self.width)

    @cached_property
    def prompts(self) -> np.ndarray:
        """[m^2, PROMPT] every prompt that there is."""
        modulus = self.settings.modulus
        first, second = np.indices((modulus, modulus)).reshape(2, -1)
        given = draw_chains(len(first), 1, modulus, np.random.default_rng(0))
        given[:, 1], given[:, 3] = first, second
        return given[:, :PROMPT]

    def continued(
        self, params: Params, prompts: np.ndarray, draw: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Texts [N, T] behind the prompts, and their log-probabilities [N] in nats.

        Args:
          params: of the decoder.
          prompts: [N, PROMPT]
          draw: number of the random draw, which differs between seeds; None: greedy.
        """
        key = None
        if draw is not None:
            key = jax.random.fold_in(jax.random.key(self.seed), draw)
        written = continuations(
            self.model, params, prompts.tolist(), max_new_tokens=self.width,
            temperature=0.0 if draw is None else 1.0, key=key,
            batch_size=len(prompts),
        )  # fmt: skip
        new = np.array([text.ids for text in written], np.int32)
        sums = np.array([text.logps.sum() for text in written])
        return np.concatenate([prompts, new], axis=1), sums

    def sampled(self, params: Params, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """Responses at temperature 1 to the demonstrations' prompts."""
        return self.continued(params, self.demonstrations[:, :PROMPT], draw)

    @cached_property
    def first_samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples of the start: the first negatives of all losses."""
        return self.sampled(self.params, 0)

    @cached_property
    def start_quality(self) -> dict[str, float]:
        """Of the half-trained decoder."""
        return self.quality(self.params, self.first_samples)

    def pairs(self, chosen: np.ndarray, rejected: np.ndarray) -> PairArrays:
        """Both sides as arrays."""
        count = len(chosen)
        full = jnp.full(count, self.width)
        return PairArrays(
            jnp.asarray(chosen), jnp.asarray(rejected), jnp.full(count, PROMPT), full,
            full,
        )  # fmt: skip

    def distance(self, params: Params) -> float:
        """KL(source, policy) in nats per token, on held-out chains."""
        held = _sums(self.model, params, jnp.asarray(self.held_out), self.width)
        entropy = source_entropy(self.settings.chain, self.settings.modulus)
        return (-float(held.mean()) - entropy) / self.width

    def quality(
        self, params: Params, samples: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        """Distance to the source, accuracy and entropy.

        Args:
          params: of the policy.
          samples: from `sampled`.

        Returns:
          kl_data_policy: nats per token; acc: share of all prompts that greedy decoding
          continues without a mistake; sample_acc: the same of the samples; entropy:
          nats per token, from the samples.
        """
        texts, logps = samples
        greedy, _ = self.continued(params, self.prompts, None)
        return {
            "kl_data_policy": self.distance(params),
            "acc": float(true_chains(greedy, self.settings.modulus).mean()),
            "sample_acc": float(true_chains(texts, self.settings.modulus).mean()),
            "entropy": -float(logps.mean()) / self.width,
        }

    def divergence(self, params: Params, draw: int) -> float:
        """KL(start, policy) in nats per token, on fresh samples of the start."""
        samples, before = self.sampled(self.params, draw)
        after = _sums(self.model, params, jnp.asarray(samples), self.width)
        return float(before.mean() - after.mean()) / self.width


def make_scene(settings: Runs, seed: int) -> Scene:
    """Draws chains and half-trains a decoder on other ones."""
    rng = np.random.default_rng([seed, 30])
    modulus, chain = settings.modulus, settings.chain

    def drawn(count: int) -> np.ndarray:
        return draw_chains(count, chain, modulus, rng)

    demonstrations = drawn(settings.demonstrations)
    held_out = drawn(settings.held_out)
    length = held_out.shape[1]
    shape = DecoderConfig(
        vocab_size=vocabulary(modulus), width=settings.width, layers=settings.layers,
        heads=settings.heads, ff_width=2 * settings.width, max_length=length,
        tied=False,
    )  # fmt: skip
    model, params = build(shape, seed=seed)
    scene = Scene(settings, seed, model, params, demonstrations, held_out)
    for _ in range(settings.fit_looks):
        batches = drawn(settings.fit_updates * settings.fit_batch)
        batches = batches.reshape(settings.fit_updates, settings.fit_batch, length)
        params, _ = fit(model, scene.params, jnp.asarray(batches), settings.fit_rate)
        scene = replace(scene, params=params)
        if scene.distance(params) <= settings.half_trained:
            break
    return scene


@partial(jax.jit, static_argnames="logps_fn")
def with_reference(logps_fn: Callable, params: Params, data: PairArrays) -> PairLogps:
    """Pairs whose policy is the reference."""
    chosen, rejected = logps_fn(params, data)
    masks = data.mask(chosen.shape[-1])
    return PairLogps(
        chosen, rejected, masks[0], masks[1], ref_chosen=chosen, ref_rejected=rejected
    )


@partial(jax.jit, static_argnames=("model", "width"))
def _sums(model: LanguageModel, params: Params, tokens: Array, width: int) -> Array:
    """[N] summed log-probability of the responses."""
    start = jnp.full(len(tokens), PROMPT)
    lengths = jnp.full(len(tokens), width)
    return response_logps(model, params, tokens, start, lengths, width=width).sum(-1)
