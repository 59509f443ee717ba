"""Self-play on tabular problems: cells and problems train side by side, in float64."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.rows import Row, row
from analyses.self_imitation.config import Config
from analyses.self_imitation.identities import balanced_z
from analyses.self_imitation.members import GSIL, LEARNERS, MEMBERS, Loss, hyper_of
from analyses.self_imitation.problems import (
    Cell,
    Problem,
    cells_of,
    make_problem,
)
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps


@dataclass(frozen=True)
class Learners:
    """C policies, each of one problem in one cell.

    Attributes:
      cells: [C]
      problems: [C]
      demonstrations: [C, V] weights of the demonstrations.
      policy: [C, V] log-probabilities of the start.
    """

    cells: Sequence[Cell]
    problems: Sequence[Problem]
    demonstrations: np.ndarray
    policy: Array

    def hyper(self, loss: str) -> Mapping[str, Array]:
        """Numbers of the loss, [C] each."""
        scale, shift = (
            jnp.array([getattr(cell, key) for cell in self.cells])
            for key in ("scale", "shift")
        )
        return hyper_of(loss, scale, shift)


@partial(jax.jit, static_argnames=("loss", "steps"))
def learn(
    loss: Loss,
    reference: Array,
    demonstrations: Array,
    generated: Array,
    hyper: Mapping[str, Array],
    rate: Array | float,
    *,
    steps: int,
) -> Array:
    """Trains C policies, each on its expected loss, from their references on.

    Args:
      loss: as `gradlab.losses.resolve` reads it.
      reference: [C, V] log-probabilities.
      demonstrations: [C, V] probability of each outcome as a demonstration.
      generated: [C, V] the same as a negative.
      hyper: numbers of the loss, [C] each.
      rate: peak learning rate of Adam, cosine decay to 0.
      steps: of Adam.

    Returns:
      [C, V] log-probabilities.
    """
    method = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def total(logits: Array) -> Array:
        values = jax.vmap(partial(expected_loss, loss))(
            jax.nn.log_softmax(logits), reference, demonstrations, generated, hyper
        )
        return values.sum()

    def update(carry, _):
        logits, state = carry
        change, state = method.update(jax.grad(total)(logits), state)
        return (optax.apply_updates(logits, change), state), None

    start = (reference, method.init(reference))
    (logits, _), _ = jax.lax.scan(update, start, length=steps)
    return jax.nn.log_softmax(jnp.asarray(logits))


def expected_loss(
    loss: Loss,
    logps: Array,
    reference: Array,
    demonstrations: Array,
    generated: Array,
    hyper: Mapping[str, Array],
) -> Array:
    """The loss over all V^2 pairs of a demonstration and a negative; [V] each."""
    chosen, rejected = (x.ravel() for x in jnp.indices((len(logps), len(logps))))
    ones = jnp.ones((len(chosen), 1))
    pairs = PairLogps(
        logps[chosen, None], logps[rejected, None], ones, ones,
        ref_chosen=reference[chosen, None], ref_rejected=reference[rejected, None],
    )  # fmt: skip
    values = resolve(loss, **hyper)(pairs)
    return (demonstrations[chosen] * generated[rejected] * values).sum()


def gather(cells: Sequence[Cell], problems: Sequence[Problem], count: int) -> Learners:
    """Every problem in every cell; finite demonstrations are drawn here."""
    both = [(cell, problem) for problem in problems for cell in cells]
    demonstrations, starts = [], []
    for cell, problem in both:
        demos = problem.source
        if cell.part == "sampled":
            rng = np.random.default_rng([problem.seed, 21, cell.draw])
            demos = rng.multinomial(count, demos) / count
        demonstrations.append(demos)
        starts.append(problem.source if cell.part == "source" else problem.start)
    cells, problems = zip(*both, strict=True)
    return Learners(
        cells, problems, np.array(demonstrations), jnp.log(jnp.array(starts))
    )


def negatives(
    learners: Learners, policy: Array, count: int, iteration: int
) -> np.ndarray:
    """[C, V] weights of the negatives: the policy's, a sample's, or its mode alone.

    Outcomes on which no demonstration can be are left out: no list holds them.
    """
    found = np.exp(np.asarray(policy))
    for place, (cell, problem) in enumerate(
        zip(learners.cells, learners.problems, strict=True)
    ):
        found[place] *= problem.source > 0
        found[place] /= found[place].sum()
        if cell.decoding == "greedy":
            found[place] = np.arange(len(found[place])) == found[place].argmax()
        if cell.part == "sampled":
            rng = np.random.default_rng([problem.seed, 22, cell.draw, iteration])
            found[place] = rng.multinomial(count, found[place]) / count
    return found


def tabular_rows(config: Config, loss: str) -> Iterator[Row]:
    """All cells of a loss over the iterations.

    Yields:
      kl_data_policy, kl_policy_data, entropy: nats, after each iteration where the
      policy starts elsewhere without a shift, else after the last one.
    """
    table = config.tabular
    problems = [make_problem(table, seed) for seed in range(table.problems)]
    learners = gather(cells_of(loss, config), problems, table.demonstrations)
    policy = learners.policy
    yield from _rows(learners, policy, loss, 0, table.iterations)
    for iteration in range(1, table.iterations + 1):
        reference = policy
        generated = negatives(learners, reference, table.demonstrations, iteration)
        policy = learn(
            LEARNERS[loss], reference, learners.demonstrations, generated,
            learners.hyper(loss), table.rate, steps=table.steps,
        )  # fmt: skip
        yield from _rows(learners, policy, loss, iteration, table.iterations)
        if iteration == 1 and loss in GSIL:
            yield from _calibration_rows(learners, policy - reference, loss, config)


def _rows(
    learners: Learners, policy: Array, loss: str, iteration: int, last: int
) -> Iterator[Row]:
    for cell, problem, logps in zip(
        learners.cells, learners.problems, np.asarray(policy), strict=True
    ):
        if not _kept(cell, iteration, last):
            continue
        keys = {
            "part": cell.part, "loss": loss, "seed": problem.seed, "scale": cell.scale,
            "shift": cell.shift, "decoding": cell.decoding, "negatives": "self",
            "iteration": iteration,
        }  # fmt: skip
        if cell.part == "sampled":
            keys["draw"] = cell.draw
        source, found = problem.source, np.exp(logps)
        yield row("kl_data_policy", _divergence(source, logps), **keys)
        if cell.part == "exact" and cell.shift == 0 and iteration == last:
            reverse = found @ (logps - np.log(source))
            yield row("kl_policy_data", reverse, **keys)
            yield row("entropy", -found @ logps, **keys)


def _kept(cell: Cell, iteration: int, last: int) -> bool:
    """Whether the table tells where the policy is after this iteration."""
    if cell.part == "exact":
        followed = cell.shift == 0 and cell.decoding == "sampled"
        return followed or iteration == last
    return iteration == last or (cell.part == "sampled" and iteration == 0)


def _divergence(source: np.ndarray, logps: np.ndarray) -> float:
    """KL(source, policy) over the outcomes of the source."""
    kept = source > 0
    return float(source[kept] @ (np.log(source[kept]) - logps[kept]))


def _calibration_rows(
    learners: Learners, ratio: Array, loss: str, config: Config
) -> Iterator[Row]:
    """Learned against true log-ratio of each outcome, scale 1 without shift."""
    for cell, problem, learned in zip(
        learners.cells, learners.problems, np.asarray(ratio), strict=True
    ):
        if (cell.part, cell.scale, cell.shift) != ("exact", 1.0, 0.0):
            continue
        if cell.decoding == "greedy":
            continue
        true = np.log(problem.source / problem.start)
        keys = {"part": "calibration", "loss": loss, "seed": problem.seed}
        spread = problem.start @ true**2
        yield row("slope", (problem.start * true) @ learned / spread, **keys)
        if problem.seed < config.tabular.shown:
            for place, (a, b) in enumerate(zip(true, learned, strict=True)):
                yield row("log_ratio", a, outcome=place, **keys)
                yield row("learned", b, outcome=place, **keys)


def optimum_rows(config: Config, seed: int) -> Iterator[Row]:
    """The pointwise optimum of every member on the outcomes of a problem."""
    problem = make_problem(config.tabular, seed)
    true = np.log(problem.source / problem.start)
    targets = {"hinge": np.sign(true), "exp(z)": true / 2}
    for name, loss in MEMBERS.items():
        keys = {"part": "optimum", "loss": name, "seed": seed}
        found = np.asarray(balanced_z(loss, true))
        error = np.abs(found - targets.get(name, true)).max()
        yield row("optimum_error", error, **keys)
        if seed < config.tabular.shown:
            for place, (a, b) in enumerate(zip(true, found, strict=True)):
                yield row("log_ratio", a, outcome=place, **keys)
                yield row("fitted_z", b, outcome=place, **keys)
