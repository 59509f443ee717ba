"""Token weights of every loss of the catalogue, beside one forward pass of the model.

Sides: `gradlab` is `token_weights` of all losses that need no argument, in one jitted
function; `forward_pass` gives the log-probs of the same pairs. They compute different
things: here the check compares the weights with those derived by hand.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from analyses.speed.config import Config
from analyses.speed.programs import (
    FORWARD,
    OURS,
    TOLERANCE,
    Case,
    Program,
    Results,
    jax_program,
    relative_gap,
)
from analyses.speed.workload import make_workload
from gradlab.errors import GradlabError
from gradlab.gradients import token_weights
from gradlab.losses import LOSSES, random_pairs
from gradlab.types import Array, PairLogps

NAMES = tuple(name for name, info in LOSSES.items() if not info.required)


def cases(config: Config, seed: int) -> Iterator[Case]:
    """Every number of pairs, which is `size`."""
    for count in config.weight_pairs:
        yield Case(
            "token_weights",
            "all losses",
            count,
            {
                OURS: partial(_ours, config, count, seed),
                FORWARD: partial(_forward, config, count, seed),
            },
            facts={"losses": len(NAMES)},
            weigh_memory=False,
            check=partial(_check, config, count, seed),
        )


def _pairs(config: Config, count: int, seed: int) -> PairLogps:
    """The model's log-probs, a reference near them, and all that a loss may read."""
    own, width = make_workload(config, count, seed).pairs, config.tokens
    other = random_pairs(
        seed, batch=count, chosen_width=width, rejected_width=width, dtype="float32"
    )
    fields = {}
    for side in ("chosen", "rejected"):
        logps = getattr(own, side)
        offset = getattr(other, f"ref_{side}") - getattr(other, side)
        fields |= {side: logps, f"ref_{side}": logps + offset}
        fields[f"{side}_mask"] = getattr(own, f"{side}_mask")
    return replace(other, **fields)


def _ours(config: Config, count: int, seed: int) -> Program:
    def weights(pairs: PairLogps) -> tuple[Array, ...]:
        found = [token_weights(name, pairs) for name in NAMES]
        return tuple(side for w in found for side in (w.chosen, w.rejected))

    return jax_program(weights, _pairs(config, count, seed))


def _forward(config: Config, count: int, seed: int) -> Program:
    work = make_workload(config, count, seed)
    return jax_program(work.pair_logps, work.params, work.tokens)


def _check(config: Config, count: int, seed: int, results: Results) -> dict[str, float]:
    """Compares the weights with the closed forms."""
    gaps, given = [0.0], _pairs(config, count, seed)
    for number, name in enumerate(NAMES):
        info = LOSSES[name]
        expected = info.closed_form(given, **info.defaults)
        sides = jax.tree.leaves(expected)
        for found, side in zip(results[OURS][2 * number :], sides, strict=False):
            gaps.append(relative_gap(found, np.asarray(side)) if np.any(side) else 0.0)
            if not gaps[-1] <= TOLERANCE:
                raise GradlabError(
                    f"token weights of {name} differ by {gaps[-1]:.2g} from its closed "
                    f"form, expected at most {TOLERANCE:g}"
                )
    return {OURS: max(gaps)}
