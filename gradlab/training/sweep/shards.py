"""Which part of the runs a process does. No jax here."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from gradlab.errors import GradlabError

T = TypeVar("T")


class Shard(NamedTuple):
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    def of(self, runs: Sequence[T]) -> Sequence[T]:
        """This part: neighbours, so that runs of a kind stay together.

        Guarantees:
          All parts together hold every run once; their sizes differ by at most 1.

        Example:
          >>> [Shard(number, 3).of("abcdefg") for number in (1, 2, 3)]
          ['ab', 'cd', 'efg']
        """
        first = (self.number - 1) * len(runs) // self.count
        return runs[first : self.number * len(runs) // self.count]


def read_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """The part that --shard means.

    Args:
      text: I/N; auto or auto/N for the task of a Slurm array; auto/N for the completion
        index of a Kubernetes job.
      environment: variables of the process.

    Raises:
      GradlabError: another form, a part that doesn't exist, or auto where the
        environment doesn't tell.

    Example:
      >>> read_shard("auto/4", {"JOB_COMPLETION_INDEX": "0"})
      Shard(number=1, count=4)
    """
    match = re.fullmatch(r"([0-9]+|auto)(?:/([0-9]+))?", text)
    if match is None or (match[1] != "auto" and match[2] is None):
        raise GradlabError(f"--shard is {text!r}; expected I/N, auto or auto/N")
    if match[1] != "auto":
        number, count = int(match[1]), int(match[2])
    else:
        number, count = _from_environment(environment, match[2])
    if not 1 <= number <= count:
        raise GradlabError(
            f"--shard {text} is part {number} of {count}; expected a part from 1 to N"
        )
    return Shard(number, count)


def _from_environment(
    environment: Mapping[str, str], count: str | None
) -> tuple[int, int]:
    if "SLURM_ARRAY_TASK_ID" in environment:
        first = _whole(environment, "SLURM_ARRAY_TASK_MIN", "0")
        step = max(1, _whole(environment, "SLURM_ARRAY_TASK_STEP", "1"))
        number = (_whole(environment, "SLURM_ARRAY_TASK_ID") - first) // step + 1
        return number, int(count or _whole(environment, "SLURM_ARRAY_TASK_COUNT"))
    if "JOB_COMPLETION_INDEX" not in environment:
        raise GradlabError(
            "--shard auto: expected SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX in the "
            "environment, found neither"
        )
    if count is None:
        raise GradlabError(
            "--shard auto: JOB_COMPLETION_INDEX doesn't tell how many parts there are; "
            "expected auto/N"
        )
    return _whole(environment, "JOB_COMPLETION_INDEX") + 1, int(count)


def _whole(
    environment: Mapping[str, str], name: str, default: str | None = None
) -> int:
    value = environment.get(name, default)
    if value is None or not value.isdecimal():
        raise GradlabError(f"--shard auto: {name} is {value!r}; expected a number")
    return int(value)
