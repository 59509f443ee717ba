"""A tiny reference with its samples, which the tests of the study share."""

import pytest

from analyses.common.record import compile_effort
from analyses.preference_pipeline.config import Config
from analyses.preference_pipeline.scene import make_pairs, make_scene, select


@pytest.fixture(autouse=True)
def _quick():
    with compile_effort(quick=True):
        yield


@pytest.fixture(scope="package")
def config() -> Config:
    return Config.smoke()


@pytest.fixture(scope="package")
def scene(config):
    with compile_effort(quick=True):
        return make_scene(config.task, 0)


@pytest.fixture(scope="package")
def pairs(scene, config):
    with compile_effort(quick=True):
        picked = select(scene.samples, config.task, "extremes", 0)
        return make_pairs(scene, picked)
