"""Drift of every token of a batch: one linearisation, or one backward pass per token.

All sides give the parts that chosen and rejected tokens cause, and their sum:

    gradlab               `split_drift`
    jax_backward          a jitted gradient of one token's log-prob through its own
                          sequence alone, and inner products with the parts of the step
    torch_backward        a forward pass per sequence, and a backward pass per token
    jax_batch_backward    the same two through the whole batch, as one would write it;
    torch_batch_backward  timed on tokens drawn at random, and scaled to all (without
                          PyTorch's forward pass, which serves any number of tokens)

`forward_pass`, the log-probs of the batch alone, says how many of them gradlab's drift
costs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.speed.config import Config
from analyses.speed.programs import (
    FORWARD,
    OURS,
    Case,
    Program,
    Results,
    compile_jax,
    jax_program,
    same_numbers,
)
from analyses.speed.workload import LOSS, Workload, make_workload, parameter_count
from gradlab.gradients import side_gradients, split_drift
from gradlab.gradients.groups import tree_inner
from gradlab.types import Array, Params

PARTS = ("chosen", "rejected", "total")
RATE = 1e-2


def cases(config: Config, seed: int) -> Iterator[Case]:
    """One case: all tokens of one batch, `size` of them."""
    yield Case(
        "drift",
        "all tokens",
        config.sequences * config.tokens,
        {
            name: lambda build=build: build(_task(config, seed))
            for name, build in SIDES.items()
        },
        loss=LOSS,
        facts={
            "parameters": parameter_count(config),
            "sequences": config.sequences,
            "tokens_drawn": config.tokens_drawn,
        },
        weigh_memory=False,
        check=lambda results: _check(_task(config, seed), results),
    )


@dataclass(frozen=True)
class Task:
    """What all sides work on.

    Attributes:
      work: the model.
      sequences: [S, 1 + T].
      parts: of a step, by name, each like the parameters.
      drawn: (sequence, position) of the tokens that go through the whole batch.
    """

    work: Workload
    sequences: Array
    parts: dict[str, Params]
    drawn: list[tuple[int, int]]

    @property
    def share(self) -> float:
        """Of all tokens, how many are drawn."""
        count, length = self.sequences.shape
        return len(self.drawn) / (count * (length - 1))


@lru_cache(maxsize=1)
def _task(config: Config, seed: int) -> Task:
    work = make_workload(config, config.sequences // 2, seed)

    @jax.jit
    def step(params: Params) -> dict[str, Params]:
        def logps_fn(p: Params) -> tuple[Array, Array]:
            return work.pair_logps(p, work.tokens)

        gradient = side_gradients(LOSS, logps_fn, params, work.pairs)
        parts = {"chosen": gradient.chosen, "rejected": gradient.rejected}
        return jax.tree.map(lambda leaf: -RATE * leaf, parts)

    total = config.sequences * config.tokens
    places = np.random.default_rng(seed).choice(total, config.tokens_drawn, False)
    drawn = [divmod(int(place), config.tokens) for place in places]
    return Task(work, jnp.concatenate(work.tokens), step(work.params), drawn)


def _check(task: Task, results: Results) -> dict[str, float]:
    """Compares all that give the drift, on all tokens or on those drawn."""
    length = task.sequences.shape[1] - 1
    some = results[OURS][0][[i * length + t for i, t in task.drawn]]
    partly = {k: v for k, v in results.items() if "batch" in k}
    fully = {k: v for k, v in results.items() if k not in (FORWARD, *partly)}
    return same_numbers(fully) | same_numbers(partly | {OURS: [some]})


def _ours(task: Task) -> Program:
    def drift(params: Params, parts: dict[str, Params], sequences: Array) -> tuple:
        drifts = split_drift(lambda p: task.work.logps(p, sequences), params, parts)
        return (jnp.stack([drifts[name].reshape(-1) for name in PARTS], axis=-1),)

    return jax_program(drift, task.work.params, task.parts, task.sequences)


def _forward(task: Task) -> Program:
    work = task.work
    return jax_program(lambda p, s: (work.logps(p, s),), work.params, task.sequences)


def _jax(task: Task, through_batch: bool) -> Program:
    work, parts, sequences = task.work, task.parts, task.sequences

    def of_token(
        params: Params, parts: dict, sequences: Array, row: Array, place: Array
    ) -> Array:
        gradient = jax.grad(lambda p: work.plain_logps(p, sequences)[row, place])(
            params
        )
        chosen, rejected = (tree_inner(gradient, parts[name]) for name in PARTS[:2])
        return jnp.stack([chosen, rejected, chosen + rejected])

    if through_batch:
        tokens = [(sequences, i, t) for i, t in task.drawn]
    else:
        rows = [sequences[i : i + 1] for i in range(len(sequences))]
        tokens = [(row, 0, t) for row in rows for t in range(row.shape[1] - 1)]
    calls = [(read, np.int32(i), np.int32(t)) for read, i, t in tokens]
    one = compile_jax(of_token, work.params, parts, *calls[0])

    def every_token() -> list[Array]:
        return [one.call(work.params, parts, *which) for which in calls]

    return replace(one, call=every_token, share=task.share if through_batch else 1.0)


def _torch(task: Task, through_batch: bool) -> Program:
    from analyses.speed.torch_side import token_drift

    drawn = task.drawn if through_batch else None
    program = token_drift(task.work, np.asarray(task.sequences), task.parts, drawn)
    return replace(program, share=task.share if through_batch else 1.0)


SIDES: dict[str, Callable[[Task], Program]] = {
    OURS: _ours,
    FORWARD: _forward,
    "jax_backward": partial(_jax, through_batch=False),
    "torch_backward": partial(_torch, through_batch=False),
    "jax_batch_backward": partial(_jax, through_batch=True),
    "torch_batch_backward": partial(_torch, through_batch=True),
}
