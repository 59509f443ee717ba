"""Peak memory of one call, measured in a process that does nothing else."""

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from gradlab.errors import GradlabError

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# With fixed thresholds the C library hands every large block back at once, so that
# memory left over from compilation can't serve the measured call unseen.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def host_peak(call: Callable[[], Any]) -> float:
    """The most memory that a call adds to this process, in MiB; Linux only, else NaN.

    For jax it must be a program's first call, which takes memory and keeps it.
    """
    before = resident()
    return highest(lambda: jax.block_until_ready(call())) - before


def resident() -> float:
    """Memory that this process holds now, in MiB; Linux only, else NaN."""
    return _mib("VmRSS")


def highest(call: Callable[[], Any]) -> float:
    """The most memory that this process holds during a call, in MiB; as `resident`."""
    if RESET.exists():
        RESET.write_text("5")  # the peak starts again from what is resident now
    call()
    return _mib("VmHWM")


def device_peak(call: Callable[[], Any]) -> float:
    """The most memory that a call adds on jax's first device, in MiB."""
    device = jax.local_devices()[0]
    before = device.memory_stats()["bytes_in_use"]
    jax.block_until_ready(call())
    return (device.memory_stats()["peak_bytes_in_use"] - before) / MIB


def fresh_peak(config: Any, seed: int, key: tuple, side: str) -> float:
    """Peak memory in MiB of one side of a case, in a process of its own.

    Args:
      config: of the study.
      seed: as the case was made with.
      key: (part, setting, size) of the case.
      side: its name.

    Raises:
      GradlabError: the process failed; with its last line.
    """
    what = f"{side} in {key}"
    return own_process("analyses.speed.child", (config, seed, key, side), what)


def own_process(module: str, message: Any, what: str) -> float:
    """The number that a module prints when it runs in a process of its own.

    Args:
      module: run as python -m.
      message: pickled onto its standard input.
      what: is measured, for errors.

    Raises:
      GradlabError: the process failed; with its last line.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=pickle.dumps(message),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise GradlabError(
            f"the process that measures {what} ended with code {done.returncode}: "
            f"{lines[-1]}"
        )
    return float(done.stdout.split()[-1])


def _mib(name: str) -> float:
    if not RESET.exists():
        return math.nan
    lines = STATUS.read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
