"""The length task: a prompt names a letter, a response is good as far as it repeats it.

Ids: 0 begins a text (and pads), 1 ends it, then come the letters. The true utility of a
response is the share of its letters that are the prompt's first one, whatever its
length. The reference is a decoder fitted to responses of all skills and lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.training import fit
from analyses.preference_pipeline.config import Task
from gradlab.models import DecoderConfig, LanguageModel, build
from gradlab.training.generate import generate
from gradlab.types import Array, Params

BEGIN, STOP, FIRST = 0, 1, 2


def draw_prompts(task: Task, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, 1 + prompt] ids; the letter after the first token is the one named."""
    letters = FIRST + rng.integers(task.letters, size=(count, task.prompt))
    return np.concatenate([np.full((count, 1), BEGIN), letters], 1).astype(np.int32)


def draw_texts(task: Task, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, T] prompts with responses of all skills and lengths, and STOP."""
    prompts = draw_prompts(task, count, rng)
    named = prompts[:, 1:2]
    shape = (count, task.longest)
    matches = rng.random(shape) < rng.beta(*task.skill, size=(count, 1))
    other = (
        FIRST + (named - FIRST + rng.integers(1, task.letters, shape)) % task.letters
    )
    body = np.where(matches, named, other)
    length = rng.integers(1, task.longest + 1, size=(count, 1))
    place = np.arange(task.longest + 1)
    body = np.concatenate([body, np.full((count, 1), STOP)], axis=1)
    body = np.where(place < length, body, np.where(place == length, STOP, BEGIN))
    return np.concatenate([prompts, body], axis=1).astype(np.int32)


def utility(prompt: Sequence[int], response: Sequence[int]) -> float:
    """Share of the response's letters that the prompt names; 0 without letters.

    Example:
      >>> utility([0, 5, 3, 4], [5, 5, 2, 5, 1])
      0.75
    """
    letters = [token for token in response if token >= FIRST]
    return letters.count(int(prompt[1])) / len(letters) if letters else 0.0


@dataclass(frozen=True)
class Reference:
    """The fitted decoder.

    Attributes:
      model: the decoder.
      params: fitted.
      cross_entropy: over its last tenth of updates, nats per token, padding included.
    """

    model: LanguageModel
    params: Params
    cross_entropy: float


def fit_reference(task: Task, seed: int) -> Reference:
    """Fits the decoder to fresh texts by maximum likelihood."""
    rng = np.random.default_rng([seed, 32])
    shape = DecoderConfig(
        vocab_size=task.vocab_size,
        width=task.width,
        layers=task.layers,
        heads=task.heads,
        ff_width=2 * task.width,
        max_length=task.length,
        tied=False,
    )
    model, params = build(shape, seed=seed)
    texts = draw_texts(task, task.fit_updates * task.fit_batch, rng)
    batches = texts.reshape(task.fit_updates, task.fit_batch, -1)
    params, losses = fit(model, params, jnp.asarray(batches), task.fit_rate)
    last = max(1, task.fit_updates // 10)
    return Reference(model, params, float(losses[-last:].mean()))


def sample(
    task: Task, model: LanguageModel, params: Params, prompts: np.ndarray, seed: int
) -> list[list[int]]:
    """One response per prompt, STOP included; the same seed draws the same noise."""
    return generate(
        model, params, prompts.tolist(), max_new_tokens=task.longest + 1, eos_id=STOP,
        temperature=1.0, key=jax.random.key(seed), batch_size=128,
    )  # fmt: skip


def padded(
    task: Task, prompts: np.ndarray, responses: Sequence[Sequence[int]]
) -> np.ndarray:
    """[N, T] prompts with their responses."""
    tokens = np.full((len(prompts), task.length), BEGIN, np.int32)
    for row, prompt, response in zip(tokens, prompts, responses, strict=True):
        row[: len(prompt)] = prompt
        row[len(prompt) : len(prompt) + len(response)] = response
    return tokens


@partial(jax.jit, static_argnames=("model", "start"))
def sequence_kl(
    model: LanguageModel,
    params: Params,
    reference: Params,
    tokens: Array,
    lengths: Array,
    start: int,
) -> Array:
    """[N] KL of policy to reference along samples of the policy, in nats.

    The sum over positions of the KL of the two next-token distributions: of the
    sequences' KL an unbiased estimate, steadier than the log-ratio of the sample.

    Args:
      model: of both.
      params: the policy's.
      reference: the reference's.
      tokens: [N, T] samples of the policy.
      lengths: [N] tokens of each response.
      start: position of the first response token.
    """
    policy, other = (
        jax.nn.log_softmax(model.apply(theta, tokens)[:, start - 1 : -1])
        for theta in (params, reference)
    )
    by_place = (jnp.exp(policy) * (policy - other)).sum(-1)
    written = jnp.arange(by_place.shape[1]) < lengths[:, None]
    return jnp.where(written, by_place, 0.0).sum(-1)
