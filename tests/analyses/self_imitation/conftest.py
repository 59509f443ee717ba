"""Numbers of this study's exact parts are float64."""

import jax
import pytest

from analyses.common.record import compile_effort


@pytest.fixture
def float64():
    with jax.enable_x64(True), compile_effort(quick=True):
        yield
