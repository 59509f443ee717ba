"""What all runs of a seed share: the reference, its samples, and pairs by selection."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays, pair_logps_fn
from analyses.preference_pipeline.config import Task
from analyses.preference_pipeline.judges import Judge, Pools, compare, scores
from analyses.preference_pipeline.length_task import (
    Reference,
    draw_prompts,
    fit_reference,
    sample,
    utility,
)
from analyses.preference_pipeline.schemes import (
    Picked,
    by_scores,
    random_pair,
    running_winner,
)
from gradlab.data import TokenizedPair
from gradlab.types import PairLogps


@dataclass(frozen=True)
class Samples:
    """M samples of the reference for each of P prompts.

    Attributes:
      prompts: [P, 1 + prompt] ids.
      responses: of each prompt, M lists of ids.
      utilities: [P, M] true.
      lengths: [P, M] tokens over the longest response.
    """

    prompts: np.ndarray
    responses: list[list[list[int]]]
    utilities: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Scene:
    """The common ground of a seed's runs.

    Attributes:
      seed: of the study.
      task: its settings.
      reference: model and fitted parameters.
      samples: of the reference on training prompts.
      held: [H, 1 + prompt] other prompts.
      held_utilities: [H] of the reference's responses to them, drawn with the noise
        that draws the trained policies' responses.
    """

    seed: int
    task: Task
    reference: Reference
    samples: Samples
    held: np.ndarray
    held_utilities: np.ndarray

    @property
    def width(self) -> int:
        """Padded length of a response."""
        return self.task.longest + 1

    @property
    def logps_fn(self):
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        return pair_logps_fn(self.reference.model, self.width)


def make_scene(task: Task, seed: int) -> Scene:
    """Fits the reference and draws its samples."""
    rng = np.random.default_rng([seed, 33])
    reference = fit_reference(task, seed)
    model, params = reference.model, reference.params
    prompts = draw_prompts(task, task.prompts, rng)
    repeated = np.repeat(prompts, task.candidates, axis=0)
    flat = sample(task, model, params, repeated, seed)
    grouped = [
        flat[start : start + task.candidates]
        for start in range(0, len(flat), task.candidates)
    ]
    worth = [
        [utility(prompt, response) for response in own]
        for prompt, own in zip(prompts, grouped, strict=True)
    ]
    lengths = [[len(response) / task.longest for response in own] for own in grouped]
    samples = Samples(prompts, grouped, np.array(worth), np.array(lengths))
    held = draw_prompts(task, task.held, rng)
    drawn = sample(task, model, params, held, held_seed(seed))
    found = [utility(prompt, ids) for prompt, ids in zip(held, drawn, strict=True)]
    return Scene(seed, task, reference, samples, held, np.array(found))


def held_seed(seed: int) -> int:
    """Of the noise that draws responses to held-out prompts: one for all policies."""
    return 1_000_000 + seed


def select(samples: Samples, task: Task, scheme: str, seed: int) -> Picked:
    """The pair of every prompt; of one scheme the same for all losses.

    Args:
      samples: with their true utilities, which judge and scorer see with noise.
      task: with the noise, and the bonus for length out of distribution.
      scheme: "extremes" (a running winner, and a second pass for the lowest),
        "champion" (a running winner against another at random), "scores" (highest
        against lowest, the same noise), "scores_ood" (scores with a bonus for length),
        "random" (two at random, compared once).
      seed: of the study.
    """
    rng = np.random.default_rng([seed, 34, *map(ord, scheme)])
    pools = Pools(samples.utilities, samples.lengths, np.zeros_like(samples.lengths))
    if scheme in ("scores", "scores_ood"):
        bonus = task.bonus * (scheme == "scores_ood")
        seen = replace(pools, utilities=pools.utilities + bonus * pools.style)
        return by_scores(scores(seen, task.tau, rng), rng)
    answers = compare(pools, Judge(task.tau), rng)
    if scheme == "random":
        picked = random_pair(*pools.shape, rng)
        i, j = picked.chosen, picked.rejected
        first = answers.share[np.arange(len(i)), i, j] >= 0.5
        calls = np.ones(len(i))
        return Picked(np.where(first, i, j), np.where(first, j, i), calls)
    rule = {"extremes": "second pass", "champion": "random other"}[scheme]
    return running_winner(answers, rng, rejected=rule)


@dataclass(frozen=True)
class Pairs:
    """Training pairs of one selection.

    Attributes:
      data: [N] tokens.
      logps: [N, R] under the reference, as policy and as reference.
    """

    data: PairArrays
    logps: PairLogps


def make_pairs(scene: Scene, picked: Picked) -> Pairs:
    """The chosen and rejected responses as arrays, scored by the reference."""
    found = [
        TokenizedPair(number + 1, prompt.tolist(), own[chosen], own[rejected])
        for number, (prompt, own, chosen, rejected) in enumerate(
            zip(
                scene.samples.prompts,
                scene.samples.responses,
                picked.chosen,
                picked.rejected,
                strict=True,
            )
        )
    ]
    data = make_arrays(found, scene.task.length)
    chosen, rejected = jax.jit(scene.logps_fn)(scene.reference.params, data)
    masks = data.mask(scene.width)
    logps = PairLogps(
        chosen, rejected, masks[0], masks[1],
        ref_chosen=jnp.array(chosen), ref_rejected=jnp.array(rejected),
    )  # fmt: skip
    return Pairs(data, logps)
