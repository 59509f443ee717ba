"""Learning curves: DPO on word problems, and the drift of texts it was not trained on.

The embedded model is policy and reference at step 0. Adam, float32, in random order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays, make_arrays, pair_logps_fn
from analyses.common.rows import Row, row
from analyses.common.training import epochs
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pair_kinds import WORD_PROBLEM, embedded, word_problems
from gradlab.data import TokenizedPair
from gradlab.losses import resolve
from gradlab.models import LanguageModel, response_logps
from gradlab.types import Array, PairLogps, Params

UNRELATED = (
    "other_prompt_train", "other_prompt_heldout", "irrelevant_text", "permuted",
    "random_tokens",
)  # fmt: skip
PROBES = ("chosen", "rejected", "chosen_heldout", "rejected_heldout", *UNRELATED)


def curve_rows(config: Config, seed: int) -> Iterator[Row]:
    """Trains, and measures all probes at equal distances, step 0 included.

    Yields:
      probe_drift: mean over the probe's sequences of the change of the summed
      log-probability since step 0, in nats; keys probe and step.
    """
    runs, keys = config.runs, {"kind": "arithmetic", "loss": "dpo", "seed": seed}
    model, params = embedded()
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    length, width = WORD_PROBLEM
    made = word_problems(runs.curve_pairs + runs.probes, seed)
    train, held = made[: runs.curve_pairs], made[runs.curve_pairs :]
    logps_fn = pair_logps_fn(model, width)
    data = make_arrays(train, length)
    pairs = _reference(logps_fn, params, data)
    probes = _probes(train, held, runs.probes, np.random.default_rng([seed, 8]))
    tokens = make_arrays([pair for part in probes for pair in part], length)

    def measure(theta: Params) -> np.ndarray:
        return np.asarray(_sums(model, theta, tokens, width)).reshape(len(PROBES), -1)

    state, start = optax.adam(runs.rate).init(params), measure(params)
    rng = np.random.default_rng([seed, 9])
    order = epochs(runs.curve_pairs, runs.curve_steps, runs.curve_batch, rng)
    stops = np.linspace(0, runs.curve_steps, runs.curve_evaluations).round().astype(int)
    for step in range(runs.curve_steps + 1):
        if step in stops:
            drift = (measure(params) - start).mean(-1)
            for probe, value in zip(PROBES, drift, strict=True):
                yield row("probe_drift", value, probe=probe, step=step, **keys)
        if step < runs.curve_steps:
            given = jax.tree.map(lambda leaf, i=order[step]: leaf[i], (data, pairs))
            params, state = _update(logps_fn, params, state, *given, runs.rate)


def _probes(
    train: Sequence[TokenizedPair],
    held: Sequence[TokenizedPair],
    count: int,
    rng: np.random.Generator,
) -> list[list[TokenizedPair]]:
    """Sequences of every probe in the order of `PROBES`, as the chosen side of pairs.

    Unrelated ones: the next problem's solution; another problem's text, cut to the
    length of the solution; the solution in random order; uniform random tokens.
    """
    train = train[:count]
    following = [*train[1:], train[0]], [*held[1:], held[0]]
    letters = np.unique([t for pair in train for t in pair.chosen])

    def with_response(pairs, responses) -> list[TokenizedPair]:
        return [
            replace(pair, chosen=[int(token) for token in response])
            for pair, response in zip(pairs, responses, strict=True)
        ]

    lengths = [len(pair.chosen) for pair in train]
    return [
        list(train),
        with_response(train, (pair.rejected for pair in train)),
        list(held),
        with_response(held, (pair.rejected for pair in held)),
        with_response(train, (pair.chosen for pair in following[0])),
        with_response(held, (pair.chosen for pair in following[1])),
        with_response(
            train,
            (p.prompt[1 : 1 + n] for p, n in zip(following[0], lengths, strict=True)),
        ),
        with_response(train, (rng.permutation(pair.chosen) for pair in train)),
        with_response(train, (rng.choice(letters, n) for n in lengths)),
    ]


@partial(jax.jit, static_argnames="logps_fn")
def _reference(logps_fn: Callable, params: Params, data: PairArrays) -> PairLogps:
    chosen, rejected = logps_fn(params, data)
    masks = data.mask(chosen.shape[-1])
    return PairLogps(
        chosen, rejected, masks[0], masks[1], ref_chosen=chosen, ref_rejected=rejected
    )


@partial(jax.jit, static_argnames=("model", "width"))
def _sums(model: LanguageModel, params: Params, data: PairArrays, width: int) -> Array:
    """[N] summed log-probability of the chosen sides alone."""
    given = (data.chosen, data.start, data.chosen_length)
    return response_logps(model, params, *given, width=width).sum(-1)


@partial(jax.jit, static_argnames="logps_fn")
def _update(
    logps_fn: Callable,
    params: Params,
    state: optax.OptState,
    data: PairArrays,
    pairs: PairLogps,
    rate: float,
) -> tuple[Params, optax.OptState]:
    loss = resolve("dpo")

    def value(theta: Params) -> Array:
        chosen, rejected = logps_fn(theta, data)
        return loss(replace(pairs, chosen=chosen, rejected=rejected)).mean()

    change, state = optax.adam(rate).update(jax.grad(value)(params), state, params)
    return optax.apply_updates(params, change), state
