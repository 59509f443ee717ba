"""A decoder that has half learned to solve word problems, and what is asked of it.

A terse solution follows from its problem word for word. So the source has no entropy,
and the cross-entropy of solutions is KL(source, policy).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays, pair_logps_fn
from analyses.common.training import epochs, fit_responses
from analyses.self_imitation.config import Words
from gradlab.data import TokenizedPair, Tokenizer, load_tokenizer
from gradlab.data.arithmetic import check, problems
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.stories import Problem
from gradlab.models import DecoderConfig, LanguageModel, build, response_stats
from gradlab.training.accuracy import encode_problems
from gradlab.training.generate import Continuation, continuations
from gradlab.types import Params

Responses = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Solved:
    """Problems with their true solutions, as ids.

    Attributes:
      problems: the problems.
      prompts: ids of each, begin token included.
      solutions: ids of each, end token included.
    """

    problems: Sequence[Problem]
    prompts: Responses
    solutions: Responses

    def pairs(self, chosen: Responses, rejected: Responses, length: int) -> PairArrays:
        """Both sides behind the prompts, padded to `length` tokens."""
        sides = zip(self.prompts, chosen, rejected, strict=True)
        return make_arrays(
            [TokenizedPair(0, list(p), list(c), list(r)) for p, c, r in sides], length
        )


@dataclass(frozen=True)
class WordScene:
    """What all losses of a seed share.

    Attributes:
      settings: of the runs.
      seed: of the study.
      model: the decoder.
      params: half-trained: the start of every run.
      tokenizer: of the model that comes with the package.
      given: problems that the fit hasn't seen; their solutions are the demonstrations.
      held_out: further ones.
    """

    settings: Words
    seed: int
    model: LanguageModel
    params: Params
    tokenizer: Tokenizer
    given: Solved
    held_out: Solved

    @property
    def demonstrations(self) -> Responses:
        """True solutions of the given problems."""
        return self.given.solutions

    @property
    def logps_fn(self) -> Callable:
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        return pair_logps_fn(self.model, self.settings.response)

    def pairs(self, chosen: Responses, rejected: Responses) -> PairArrays:
        """Two responses to each of the given problems."""
        return self.given.pairs(chosen, rejected, self.settings.length)

    def continued(
        self, params: Params, asked: Solved, draw: int | None
    ) -> list[Continuation]:
        """What the decoder writes behind the prompts.

        Args:
          params: of the decoder.
          asked: problems.
          draw: number of the random draw, which differs between seeds; None: greedy.
        """
        key = None
        if draw is not None:
            key = jax.random.fold_in(jax.random.key(self.seed), draw)
        return continuations(
            self.model, params, asked.prompts, max_new_tokens=self.settings.response,
            temperature=0.0 if draw is None else 1.0, key=key,
            eos_id=self.tokenizer.eos_id, batch_size=len(asked.prompts),
        )  # fmt: skip

    def sampled(self, params: Params, draw: int) -> list[Continuation]:
        """Solutions of the given problems at temperature 1."""
        return self.continued(params, self.given, draw)

    @cached_property
    def first_samples(self) -> list[Continuation]:
        """Samples of the start: the first negatives of all losses."""
        return self.sampled(self.params, 0)

    @cached_property
    def start_quality(self) -> dict[str, float]:
        """Of the half-trained decoder."""
        return self.quality(self.params, self.first_samples)

    def quality(self, params: Params, samples: list[Continuation]) -> dict[str, float]:
        """Distance to the source, accuracy and entropy.

        Args:
          params: of the policy.
          samples: from `sampled`.

        Returns:
          kl_data_policy: nats per token of held-out solutions; acc: share of held-out
          problems whose answer is exact, greedily; sample_acc: the same of the
          samples; entropy: nats per token, from the samples; logp_real and logp_gen:
          mean log-probability of a demonstration and of a sample, in nats; tokens_real
          and tokens_gen: their mean lengths.
        """
        given, held = self.given, self.held_out
        greedy = self.continued(params, held, None)
        drawn = np.concatenate([text.logps for text in samples])
        unseen = self.read(params, held)[0].sum()
        return {
            "kl_data_policy": -float(unseen / sum(map(len, held.solutions))),
            "acc": self.exact(held, greedy),
            "sample_acc": self.exact(given, samples),
            "entropy": -float(drawn.mean()),
            "logp_real": float(self.read(params, given)[0].mean()),
            "logp_gen": float(drawn.sum()) / len(samples),
            "tokens_real": sum(map(len, given.solutions)) / len(given.solutions),
            "tokens_gen": len(drawn) / len(samples),
        }

    def read(self, params: Params, asked: Solved) -> tuple[np.ndarray, float]:
        """Log-probability [N] of true solutions, and the share that is all greedy."""
        settings = self.settings
        data = asked.pairs(asked.solutions, asked.solutions, settings.length)
        logps, greedy = _read(self.model, params, data, settings.response)
        return np.asarray(logps), float(np.mean(greedy))

    def exact(self, asked: Solved, texts: Sequence[Continuation]) -> float:
        """Share of texts whose answer is that of their problem."""
        written = (self.tokenizer.decode(t.ids, skip_special=True) for t in texts)
        found = zip(written, asked.problems, strict=True)
        return float(np.mean([check(text, p).answer_right for text, p in found]))


def make_word_scene(settings: Words, seed: int) -> WordScene:
    """Draws problems, and fits a decoder to some until it solves part of the others."""
    tokenizer = load_tokenizer(embedded_model_folder())
    sizes = [settings.demonstrations, settings.held_out, settings.fit_problems]
    drawn = problems(
        sum(sizes), seed, steps=settings.steps, style="terse",
        max_value=settings.max_value,
    )  # fmt: skip
    first, second, _ = np.cumsum(sizes)
    given, held_out, seen = (
        Solved(part, *encode_problems(part, tokenizer))
        for part in (drawn[:first], drawn[first:second], drawn[second:])
    )
    shape = DecoderConfig(
        vocab_size=tokenizer.vocab_size, width=settings.width, layers=settings.layers,
        heads=settings.heads, ff_width=2 * settings.width, max_length=settings.length,
    )  # fmt: skip
    model, params = build(shape, seed=seed)
    scene = WordScene(settings, seed, model, params, tokenizer, given, held_out)
    return _half_trained(scene, seen)


def _half_trained(scene: WordScene, seen: Solved) -> WordScene:
    """Fits the decoder until it would write so many demonstrations word for word."""
    settings = scene.settings
    data = seen.pairs(seen.solutions, seen.solutions, settings.length)
    updates = settings.fit_updates
    rng = np.random.default_rng([scene.seed, 40])
    order = epochs(len(data), settings.fit_looks * updates, settings.fit_batch, rng)
    for rows in jnp.asarray(order.reshape(-1, updates, settings.fit_batch)):
        params, _ = fit_responses(
            scene.model, scene.params, data, rows, settings.fit_rate,
            width=settings.response,
        )  # fmt: skip
        scene = replace(scene, params=params)
        if scene.read(params, scene.given)[1] >= settings.solved:
            break
    return scene


@partial(jax.jit, static_argnames=("model", "width"))
def _read(model: LanguageModel, params: Params, data: PairArrays, width: int):
    """[N] summed log-probability of chosen responses, and whether greedy ones."""
    stats = response_stats(
        model, params, data.chosen, data.start, data.chosen_length, width=width,
        position_chunk=None,
    )  # fmt: skip
    return stats.logps.sum(-1), jnp.all(stats.logps >= stats.max_logp, axis=-1)
