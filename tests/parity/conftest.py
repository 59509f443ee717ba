"""Loads TRL once, and only when a test asks for it."""

import importlib
import warnings

import pytest

# They import torch at the top: not for the doctest collector, which takes all.
collect_ignore = [
    "trl_live.py",
    "real_trainers.py",
    "trajectories.py",
    "bridged.py",
]


@pytest.fixture(scope="session")
def trl_live():
    """`tests/parity/trl_live.py`: TRL's own code, callable on our batches."""
    for package in ("torch", "transformers", "trl"):
        pytest.importorskip(package)
    with warnings.catch_warnings():
        # Third-party imports: TRL announces that `trl.experimental` may change.
        warnings.simplefilter("ignore")
        return importlib.import_module("tests.parity.trl_live")
