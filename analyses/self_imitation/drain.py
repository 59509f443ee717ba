"""Where scale and shift lead both sides, when mass has somewhere else to go."""

from collections.abc import Iterator

import numpy as np

from analyses.common.rows import Row, row
from analyses.self_imitation.config import Config
from analyses.self_imitation.members import LEARNERS
from analyses.self_imitation.problems import (
    Cell,
    Problem,
    drain_cells,
    make_problem,
    with_unseen,
)
from analyses.self_imitation.tabular import gather, learn, negatives

CLIP = 80.0  # exponents are constant from here on, as in `gradlab.losses.gsil`
EXPONENTS = {"kliep": (0, 1), "lsif": (1, 2)}  # multiples of z_w and z_l


def drain_rows(config: Config, loss: str) -> Iterator[Row]:
    """Trains every problem in every cell of scale and shift, once.

    Yields:
      d_chosen_sum, d_rejected_sum: expected log pi / pi_t over demonstrations and
      negatives, nats; target_chosen, target_rejected: the same of (log r - shift) /
      scale; clipped_exp: share of their mass whose exponent reached the clip.
    """
    table, learned = config.tabular, []
    made = [make_problem(table, seed) for seed in range(table.problems)]
    for part in ("drain source", "drain"):
        cells = [cell for cell in drain_cells(config) if cell.part == part]
        problems = [
            with_unseen(problem, table, at_source=part == "drain source")
            for problem in made
        ]
        learned.append(gather(cells, problems, table.demonstrations))
    for learners in learned:
        generated = negatives(learners, learners.policy, table.demonstrations, 1)
        policy = learn(
            LEARNERS[loss], learners.policy, learners.demonstrations, generated,
            learners.hyper(loss), table.drain_rate, steps=table.steps,
        )  # fmt: skip
        drifts = np.asarray(policy - learners.policy)
        for place, (cell, problem) in enumerate(
            zip(learners.cells, learners.problems, strict=True)
        ):
            weights = (learners.demonstrations[place], generated[place])
            yield from _drain_of(cell, problem, drifts[place], weights, loss)


def _drain_of(
    cell: Cell,
    problem: Problem,
    drift: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    loss: str,
) -> Iterator[Row]:
    kept = problem.source > 0
    log_r = np.log(weights[0][kept] / weights[1][kept])
    target = (log_r - cell.shift) / cell.scale
    keys = {
        "part": cell.part, "loss": loss, "seed": problem.seed, "scale": cell.scale,
        "shift": cell.shift, "decoding": cell.decoding, "negatives": "self",
        "iteration": 1, "target_nat": -cell.shift / cell.scale,
    }  # fmt: skip
    clipped = 0.0
    factors = EXPONENTS.get(loss, (0, 0))
    for side, factor, w in zip(("chosen", "rejected"), factors, weights, strict=True):
        yield row(f"d_{side}_sum", w @ drift, **keys)
        yield row(f"target_{side}", w[kept] @ target, **keys)
        z = cell.scale * drift + cell.shift
        clipped += 0.5 * float(w @ (factor * z >= CLIP))
    if any(factors):
        yield row("clipped_exp", clipped, **keys)
