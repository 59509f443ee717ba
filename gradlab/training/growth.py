"""Batches of texts that grow until they end: what the host does in generation.

Prompts of like length grow together, in few compiled shapes. With a cache, rows that
have ended are dropped where that halves the batch; without one, the texts are batched
anew every few tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from gradlab.models.functional import LanguageModel
from gradlab.models.sharding import beside, gathered
from gradlab.training.decoding import Progress, advance, begin, grow_uncached
from gradlab.training.sampling import Heat, Sampler
from gradlab.types import Array, Params

STAGE = 16  # new tokens between two looks at which texts have ended
FEWEST = 8  # rows of a batch that are not worth halving
# Rows stay whole where parameters are split: a new token is less to send than they are.
SPREAD = ("data",)


@dataclass(frozen=True)
class Continuation:
    """What a model wrote behind one prompt.

    Attributes:
      ids: the new tokens, EOS included where the model ended the text itself.
      logps: [len(ids)] log-probability of each under the model, in nats: in the model's
        own distribution, whatever temperature and limits it was drawn with.
    """

    ids: list[int]
    logps: np.ndarray


@dataclass(frozen=True)
class Job:
    """What is to be written; the attributes are those of `continuations`, checked.

    Attributes:
      model: who writes.
      params: of the model.
      prompts: ids of each.
      max_new_tokens: the most that a prompt is continued by.
      eos_id: ends a text; -1: nothing does.
      sampler: how tokens are chosen.
      heat: numbers of the sampler.
      keys: one for each prompt.
      batch_size: rows of a forward pass.
    """

    model: LanguageModel
    params: Params
    prompts: list[list[int]]
    max_new_tokens: int
    eos_id: int
    sampler: Sampler
    heat: Heat
    keys: Array
    batch_size: int


def _batches(
    places: Sequence[int], texts: Sequence[Sequence[int]], batch_size: int
) -> Iterator[list[int]]:
    """Places of texts of like length together, each batch full."""
    order = sorted(places, key=lambda place: len(texts[place]))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        # A short batch is filled up with copies: it needs no shape of its own.
        yield (batch + batch[:1] * batch_size)[:batch_size]


def _padded(rows: Sequence[Sequence[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """[B, width] int32, filled up with zeros on the right, and lengths [B]."""
    tokens = np.zeros((len(rows), width), np.int32)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    return tokens, np.array([len(row) for row in rows], np.int32)


def with_cache(job: Job) -> Iterator[tuple[int, Continuation]]:
    """Places and their continuations, by a model that keeps keys and values."""
    for places in _batches(range(len(job.prompts)), job.prompts, job.batch_size):
        rows = [job.prompts[place] for place in places]
        tokens, lengths = _padded(rows, _width(max(map(len, rows))))
        progress = begin(
            job.model,
            job.params,
            *beside(job.params, (tokens, lengths), SPREAD),
            job.keys[np.array(places)],
            job.eos_id,
            job.heat,
            sampler=job.sampler,
            count=job.max_new_tokens,
        )
        yield from dict(_advance_all(job, places, progress)).items()


def _width(longest: int) -> int:
    """The next of 16, 24, 32, 48, 64, 96, ...: few shapes, at most half of it empty."""
    width = STAGE
    while width < longest:
        # A power of two is followed by 3/2 of it, and that by the next power.
        width += width // 2 if width & (width - 1) == 0 else width // 3
    return width


def _advance_all(
    job: Job, places: list[int], progress: Progress
) -> Iterator[tuple[int, Continuation]]:
    """The continuations of a batch, those that end early first."""
    stop = 1
    while True:
        done = gathered(progress.done)
        if done.all() or stop == job.max_new_tokens:
            yield from _read(places, progress, range(len(places)))
            return
        active = np.flatnonzero(~done)
        half = len(places) // 2
        if len(active) <= half and half >= FEWEST:
            yield from _read(places, progress, np.flatnonzero(done))
            kept = np.resize(np.concatenate([active, np.flatnonzero(done)]), half)
            places = [places[row] for row in kept]
            progress = _select(progress, kept)
        stop = min(stop + STAGE, job.max_new_tokens)
        progress = advance(
            job.model,
            job.params,
            progress,
            stop,
            job.eos_id,
            job.heat,
            sampler=job.sampler,
        )


def _read(
    places: list[int], progress: Progress, rows: Sequence[int] | np.ndarray
) -> Iterator[tuple[int, Continuation]]:
    tokens, logps, made = gathered((progress.tokens, progress.logps, progress.made))
    for row in rows:
        count = made[row]
        yield (
            places[row],
            Continuation(tokens[row, :count].tolist(), logps[row, :count]),
        )


@jax.jit
def _select(progress: Progress, rows: Array) -> Progress:
    """These rows alone."""
    step = progress.step
    chosen = jax.tree.map(lambda leaf: leaf[rows], progress._replace(step=None))
    return chosen._replace(step=step)


def without_cache(job: Job) -> Iterator[tuple[int, Continuation]]:
    """The same by a model that has no cache, in stages.

    At each stage the texts that have not ended are batched anew by length.
    """
    texts = [list(prompt) for prompt in job.prompts]
    ends = [len(text) + job.max_new_tokens for text in texts]
    logps: list[list[np.ndarray]] = [[] for _ in texts]
    active = list(range(len(texts)))
    while active:
        for places in _batches(active, texts, job.batch_size):
            for place, (text, new) in _grow(job, places, texts, ends).items():
                texts[place] = text
                logps[place].append(new)
        active = [
            place
            for place in active
            if texts[place][-1] != job.eos_id and len(texts[place]) < ends[place]
        ]
    for place, text in enumerate(texts):
        ids = text[len(job.prompts[place]) :]
        yield place, Continuation(ids, np.concatenate(logps[place]))


def _grow(
    job: Job, places: list[int], texts: list[list[int]], ends: list[int]
) -> dict[int, tuple[list[int], np.ndarray]]:
    """Texts grown by `STAGE` tokens, or to EOS or their end, and the new logps."""
    longest = max(len(texts[place]) for place in places)
    width = -(-(longest + STAGE) // STAGE) * STAGE
    if job.model.config is not None:
        width = min(width, job.model.config.max_length)
    tokens, lengths = _padded([texts[place] for place in places], width)
    limits = np.minimum(np.array([ends[place] for place in places]), lengths + STAGE)
    grown = grow_uncached(
        job.model,
        job.params,
        *beside(job.params, (tokens, lengths, limits.astype(np.int32)), SPREAD),
        job.keys[np.array(places)],
        job.eos_id,
        job.heat,
        sampler=job.sampler,
    )
    rows = zip(places, lengths, *gathered(grown), strict=True)
    return {
        place: (text[:end].tolist(), new[start:end])
        for place, start, text, new, end in rows
    }
