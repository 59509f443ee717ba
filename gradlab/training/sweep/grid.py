"""From a sweep file to its runs. No jax here."""

import dataclasses
import hashlib
import itertools
import json
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlab.errors import GradlabError
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check, value_of
from gradlab.training.config_file import from_mapping, read_mapping

GRID = "sweep"
OWN = ("config", "out", "resume")  # settings that the sweep gives each run itself
LONGEST = 120  # of a folder's name

Settings = dict[str, Any]  # dotted key -> value


@dataclass(frozen=True)
class Run:
    """One point of the grid.

    Attributes:
      name: of its folder.
      settings: the swept ones, by dotted key.
      config: all of them.
    """

    name: str
    settings: Settings
    config: TrainConfig


def read_sweep(path: Path) -> list[Run]:
    """The runs of a sweep file, the last key of the grid changing fastest.

    Raises:
      GradlabError: names file and key: no grid, an unknown key (near misses are
        listed), a value of the wrong type or out of range, a value given twice.
    """
    found = dict(read_mapping(path, "gradlab sweep"))
    grid = _checked_grid(found.pop(GRID, None), str(path))
    for key in OWN:
        if key in found or key in grid:
            raise GradlabError(f"{path}: {key} is set by the sweep; expected it absent")
    from_mapping(TrainConfig, found, source=str(path))
    names = run_names(points := _points(grid))
    runs = [
        Run(
            name,
            point,
            from_mapping(TrainConfig, with_settings(found, point), source=str(path)),
        )
        for name, point in zip(names, points, strict=True)
    ]
    for run in runs:
        try:
            check(run.config)
        except GradlabError as error:
            raise GradlabError(f"{path}: in the run {run.name}, {error}") from error
    return runs


def _points(grid: Mapping[str, list[Any]]) -> list[Settings]:
    combinations = itertools.product(*grid.values())
    return [dict(zip(grid, values, strict=True)) for values in combinations]


def _checked_grid(grid: Any, source: str) -> dict[str, list[Any]]:
    """Values by key, of the types that the settings have."""
    if not isinstance(grid, Mapping) or not grid:
        raise GradlabError(
            f"{source}: {GRID} is {reprlib.repr(grid)}; expected keys with lists of "
            "values, e.g. seed: [0, 1]"
        )
    return {str(key): _values(str(key), grid[key], source) for key in grid}


def _values(key: str, values: Any, source: str) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise GradlabError(
            f"{source}: {GRID}.{key} is {reprlib.repr(values)}; expected a list "
            "of values"
        )
    typed = []
    for value in values:
        one = from_mapping(TrainConfig, with_settings({}, {key: value}), source=source)
        typed.append(value_of(one, key))
        if dataclasses.is_dataclass(typed[-1]):
            raise GradlabError(
                f"{source}: {GRID}.{key} names a group; expected one of its settings, "
                f"e.g. {key}.{dataclasses.fields(typed[-1])[0].name}"
            )
        if typed[-1] in typed[:-1]:
            raise GradlabError(f"{source}: {GRID}.{key} holds {value!r} twice")
    return [_plain(value) for value in typed]


def _plain(value: Any) -> Any:
    """As YAML holds it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def with_settings(base: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Nested settings, some of them replaced by dotted key.

    Example:
      >>> with_settings({"data": {"limit": 5}}, {"data.batch_size": 2, "seed": 1})
      {'data': {'limit': 5, 'batch_size': 2}, 'seed': 1}
    """
    made = dict(base)
    for key, value in settings.items():
        first, _, rest = key.partition(".")
        if rest:
            inner = made.get(first)
            inner = inner if isinstance(inner, Mapping) else {}
            value = with_settings(inner, {rest: value})
        made[first] = value
    return made


def run_names(points: Sequence[Settings]) -> list[str]:
    """Folder names that tell the runs apart, made of their settings alone.

    Where two would be the same, or one too long, a hash of the settings is added.

    Example:
      >>> run_names([{"loss": "dpop(lam=5)", "optimiser.learning_rate": 1e-5}])
      ['loss=dpop-lam=5_learning_rate=1e-05']
    """
    names = [_name(point) for point in points]
    # Folders of some systems don't tell upper case from lower case.
    count = Counter(name.lower() for name in names)
    return [
        name
        if count[name.lower()] == 1 and len(name) <= LONGEST
        else f"{name[:LONGEST]}-{_digest(point)}"
        for name, point in zip(names, points, strict=True)
    ]


def _name(point: Settings) -> str:
    tails = Counter(key.rpartition(".")[2] for key in point)
    parts = []
    for key, value in point.items():
        tail = key.rpartition(".")[2]
        text = value if isinstance(value, str) else json.dumps(value)
        part = f"{tail if tails[tail] == 1 else key}={text}"
        parts.append(re.sub(r"[^\w.+=]+", "-", part).strip("-."))
    return "_".join(parts)


def _digest(point: Settings) -> str:
    return hashlib.sha256(json.dumps(point).encode()).hexdigest()[:8]
