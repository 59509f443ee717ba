"""Runs the tests of `tests/devices` in a process with eight devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.conftest import FLAG

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "kind", ["not slow", pytest.param("slow", marks=pytest.mark.slow)]
)
def test_eight_devices(kind):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/devices", "-q", "-m", kind],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": FLAG},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
