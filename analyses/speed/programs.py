"""What is measured: programs that compute the same thing in different ways."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from analyses.speed.memory import MIB, device_peak, host_peak
from gradlab.errors import GradlabError

OURS, FORWARD = "gradlab", "forward_pass"
TORCH = "torch"  # how the names of sides begin that need PyTorch
TOLERANCE = 1e-4  # relative to the largest number, in float32
Results = Mapping[str, list[np.ndarray]]


@dataclass(frozen=True)
class Program:
    """One way to compute something, ready to run.

    Attributes:
      call: () -> a tuple of arrays; or a list of arrays, one for each of many items.
      device: the kind of device that it runs on.
      peak: call -> the most memory that it takes, in MiB; outputs included.
      fetch: one array of the result -> numpy.
      compile_seconds: what compiling took.
      temp_mib: temporary memory that XLA planned, in MiB.
      share: of the whole work that one call does; times are scaled to the whole.
    """

    call: Callable[..., Any]
    device: str
    peak: Callable[[Callable], float] = host_peak
    fetch: Callable[[Any], np.ndarray] = np.asarray
    compile_seconds: float | None = None
    temp_mib: float | None = None
    share: float = 1.0

    def numbers(self) -> list[np.ndarray]:
        """The result of one call."""
        result = self.call()
        if isinstance(result, list):
            return [np.stack([self.fetch(item) for item in result])]
        return [self.fetch(array) for array in result]


def compile_jax(function: Callable, *arguments: Any) -> Program:
    """A jitted function compiled for such arguments; its call takes them."""
    started = time.perf_counter()
    with jax.default_matmul_precision("highest"):
        compiled = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - started
    temporary = getattr(compiled.memory_analysis(), "temp_size_in_bytes", None)
    platform = jax.default_backend()
    return Program(
        compiled,
        platform,
        host_peak if platform == "cpu" else device_peak,
        compile_seconds=seconds,
        temp_mib=None if temporary is None else temporary / MIB,
    )


def jax_program(function: Callable, *arguments: Any) -> Program:
    """A jitted function compiled for these arguments, and bound to them."""
    program = compile_jax(function, *arguments)
    return replace(program, call=partial(program.call, *arguments))


def relative_gap(value: np.ndarray, expected: np.ndarray) -> float:
    """max |value - expected| / max |expected|."""
    return float(np.abs(value - expected).max() / np.abs(expected).max())


def same_numbers(results: Results) -> dict[str, float]:
    """Compares every side with ours.

    Returns:
      Largest absolute difference over the largest absolute value of ours, by side.

    Raises:
      GradlabError: a difference above `TOLERANCE`.
    """
    found = {}
    for name in [side for side in results if side != OURS]:
        # Ours may give more: the others are compared as far as they go.
        pairs = zip(results[name], results[OURS], strict=False)
        found[name] = max(relative_gap(theirs, ours) for theirs, ours in pairs)
        if not found[name] <= TOLERANCE:
            raise GradlabError(
                f"{name} and {OURS} differ by {found[name]:.2g} of the largest value, "
                f"expected at most {TOLERANCE:g}: they don't compute the same"
            )
    return found


@dataclass(frozen=True)
class Case:
    """One thing to compute, at one size, by several sides.

    Attributes:
      part: of the study.
      setting: what is computed.
      size: tokens, pairs or positions, as the part says.
      sides: name -> a function that builds its program; one of them is `OURS`.
      loss: whose gradients they are.
      facts: further numbers for the table.
      weigh_memory: whether peak memory is of interest.
      check: results by side -> largest relative difference, by side; refuses wrong
        results.
    """

    part: str
    setting: str
    size: int
    sides: Mapping[str, Callable[[], Program]]
    loss: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)
    weigh_memory: bool = True
    check: Callable[[Results], dict[str, float]] = same_numbers
