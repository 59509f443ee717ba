"""A setting that jax reads when it is loaded; names that docstrings' examples use."""

import os

import pytest

# Tests compile thousands of small programs and run most of them once, so compiling is
# what takes their time. `make test-slow` runs with all optimisations, as users do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# They import torch, which is an extra, at the top: not for the doctest collector.
collect_ignore = ["gradlab/bridges/trl.py", "gradlab/bridges/torch_logps.py"]


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    from gradlab.losses import example_pair  # loads jax: after the setting above

    doctest_namespace["example_pair"] = example_pair
