"""What needs eight devices: run by `tests/test_devices.py` in a process of its own.

A machine has one CPU; XLA_FLAGS makes eight devices of it before jax is loaded.
"""

import os

from tests.training.conftest import place as place

FLAG = "--xla_force_host_platform_device_count=8"

if FLAG not in os.environ.get("XLA_FLAGS", ""):
    collect_ignore_glob = ["*"]
