"""Settings out of range are refused before anything is loaded."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradlab.errors import GradlabError
from gradlab.inputs.config import check_seed
from gradlab.training.config import TrainConfig

_POSITIVE: tuple[Callable[[Any], bool], str] = (lambda x: x > 0, "above 0")
_AT_LEAST_0: tuple[Callable[[Any], bool], str] = (lambda x: x >= 0, "at least 0")
_AT_LEAST_1: tuple[Callable[[Any], bool], str] = (lambda x: x >= 1, "at least 1")
_SHARE: tuple[Callable[[Any], bool], str] = (lambda x: 0 < x <= 1, "in (0, 1]")
_DECAY: tuple[Callable[[Any], bool], str] = (lambda x: 0 <= x < 1, "in [0, 1)")

# key -> (whether a value will do, what is expected); None always will.
RANGES = {
    "steps": _AT_LEAST_1,
    "epochs": _POSITIVE,
    "log_every": _AT_LEAST_1,
    "data.limit": _AT_LEAST_1,
    "data.batch_size": _AT_LEAST_1,
    "data.micro_batches": _AT_LEAST_1,
    "data.max_shapes": _AT_LEAST_1,
    "data.window": _AT_LEAST_1,
    "optimiser.learning_rate": _AT_LEAST_0,
    "optimiser.warmup": _AT_LEAST_0,
    "optimiser.clip_norm": _POSITIVE,
    "optimiser.weight_decay": _AT_LEAST_0,
    "optimiser.b1": _DECAY,
    "optimiser.b2": _DECAY,
    "optimiser.eps": _POSITIVE,
    "optimiser.momentum": _DECAY,
    "reference.every": _AT_LEAST_0,
    "reference.mix": _SHARE,
    "selfplay.rounds": _AT_LEAST_1,
    "selfplay.temperature": _AT_LEAST_0,
    "selfplay.max_new_tokens": _AT_LEAST_1,
    "checkpoint.every": _AT_LEAST_0,
    "checkpoint.keep": _AT_LEAST_1,
    "probes.pairs": _AT_LEAST_1,
    "probes.evaluations": _AT_LEAST_1,
    "probes.every": _AT_LEAST_1,
    "probes.top_k": _AT_LEAST_0,
    "probes.batch_size": _AT_LEAST_1,
    "probes.max_new_tokens": _AT_LEAST_1,
    "probes.answers": _AT_LEAST_0,
    "mesh.data": _AT_LEAST_1,
    "mesh.fsdp": _AT_LEAST_1,
    "mesh.processes": _AT_LEAST_1,
    "mesh.process": _AT_LEAST_0,
}


def check(config: TrainConfig) -> None:
    """Refuses a setting that is out of range or doesn't fit another one.

    Raises:
      GradlabError: names the key, what was found and what was expected.
    """
    check_seed(config.seed)
    for key, (will_do, expected) in RANGES.items():
        value = value_of(config, key)
        if isinstance(value, float) and not math.isfinite(value):
            refuse(key, value, "a finite number")
        if value is not None and not will_do(value):
            refuse(key, value, expected)
    data, model = config.data, config.model
    if data.batch_size % data.micro_batches:
        refuse(
            "data.micro_batches",
            data.micro_batches,
            f"a divisor of data.batch_size = {data.batch_size}",
        )
    _check_mesh(config)
    if model.config is not None and model.path is not None:
        refuse("model.config", model.config, "no model.path beside it")
    if model.config is not None and model.tokenizer is None:
        refuse("model.tokenizer", None, "a folder, since model.config has none")
    if data.path is None and (model.path or model.config) is not None:
        refuse("data.path", None, "a file: the embedded problems suit that model only")
    if config.stage == "selfplay" and model.reference is not None:
        refuse("model.reference", model.reference, "none: self-play sets its own")


def _check_mesh(config: TrainConfig) -> None:
    mesh, parts = config.mesh, config.data.micro_batches
    devices = mesh.data * mesh.fsdp
    if config.data.batch_size % (parts * devices):
        refuse(
            "data.batch_size",
            config.data.batch_size,
            f"a multiple of {parts * devices}: data.micro_batches is {parts}, and "
            f"mesh.data * mesh.fsdp is {devices}",
        )
    by_hand = {"coordinator": mesh.coordinator, "processes": mesh.processes}
    by_hand |= {"process": mesh.process}
    given = [name for name, value in by_hand.items() if value is not None]
    if mesh.distributed == "auto" and given:
        refuse("mesh.distributed", "auto", f"off beside mesh.{given[0]}")
    if given and len(given) < len(by_hand):
        missing = next(name for name in by_hand if name not in given)
        refuse(f"mesh.{missing}", None, f"a value beside mesh.{given[0]}")
    if mesh.processes is not None and mesh.process >= mesh.processes:  # pyright: ignore
        refuse("mesh.process", mesh.process, f"0 to {mesh.processes - 1}")


def value_of(config: TrainConfig, key: str) -> Any:
    """The setting that a key such as "data.limit" names."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def refuse(key: str, found: object, expected: str) -> None:
    """Raises the error that names a key."""
    raise GradlabError(f"{key} is {found!r}; expected {expected}")


def check_choices(key: str, found: Sequence[str], known: Sequence[str]) -> None:
    """Refuses an entry of a list that isn't known."""
    for entry in found:
        if entry not in known:
            refuse(key, entry, f"some of {', '.join(known)}")
