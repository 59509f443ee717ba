"""The machine that a study runs on, for its manifest."""

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores, memory, and the device that jax computes on."""
    import jax  # here, since listing the studies needs none

    try:
        cores = len(os.sched_getaffinity(0))  # those that this process may use
    except AttributeError:  # not on every system
        cores = os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gib": _memory_gib(),
        "device": jax.default_backend(),
        "device_kind": jax.devices()[0].device_kind,
    }


def _processor() -> str:
    source = Path("/proc/cpuinfo")
    if source.exists():
        for line in source.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    return round(pages / 2**30, 1)
