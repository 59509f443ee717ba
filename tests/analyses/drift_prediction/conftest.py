"""A small scene that the tests of the study share: edited pairs, a tiny decoder."""

from dataclasses import replace

import jax
import pytest

from analyses.drift_prediction.config import Config, Runs
from analyses.drift_prediction.pair_kinds import kinds_of
from analyses.drift_prediction.policy import make_scene
from analyses.drift_prediction.study import compile_effort


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True), compile_effort(quick=True):
        yield


@pytest.fixture(scope="package")
def config() -> Config:
    return replace(Config.smoke(), runs=Runs(ledger_steps=3))


@pytest.fixture(scope="package")
def scenes(config):
    """Kind -> its scene under seed 0."""
    with jax.enable_x64(True), compile_effort(quick=True):
        kinds = kinds_of(config, 0)
        return {kind.name: make_scene(kind, config, 0) for kind in kinds}


@pytest.fixture(scope="package")
def scene(scenes):
    return scenes["edits"]
