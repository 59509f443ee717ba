"""Which runs of a sweep can be trained as one program."""

import json
from collections.abc import Sequence
from typing import Any

from gradlab.losses.resolve import WeightedSum
from gradlab.training.config import TrainConfig
from gradlab.training.config_file import to_mapping
from gradlab.training.plan import chosen_loss
from gradlab.training.sweep.grid import Run
from gradlab.training.together import loss_numbers


def grouped(runs: Sequence[Run], most: int) -> list[list[Run]]:
    """The runs in groups of at most `most` that may be trained together.

    Groups stand in the order of their first run, and hold their runs in order.
    """
    if most == 1:
        return [[run] for run in runs]
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(_kind(run.config), []).append(run)
    return [
        same[first : first + most]
        for same in kinds.values()
        for first in range(0, len(same), most)
    ]


def _kind(config: TrainConfig) -> str:
    """All settings but the numbers that may differ within a program."""
    kind: dict[str, Any] = to_mapping(config) | {"loss": _loss_kind(config)}
    kind["optimiser"] = kind["optimiser"] | {"learning_rate": None}
    # Another seed is another order: batches then are of one shape if all are.
    if config.data.max_shapes == 1:
        kind["seed"] = None
    return json.dumps(kind)


def _loss_kind(config: TrainConfig) -> Any:
    loss = chosen_loss(config)
    numbers = loss_numbers(loss)
    if isinstance(loss, WeightedSum) or not numbers:
        return config.loss
    rest = {k: str(v) for k, v in loss.hyper.items() if k not in numbers}
    return [loss.label.partition("(")[0], sorted(numbers), rest]
