"""A setting that jax reads when it is loaded; names that docstrings' examples use."""

import os
from importlib.metadata import version

import pytest

# Tests compile thousands of small programs and run most of them once, so compiling is
# what takes their time: XLA's older emitters and few optimisations halve it.
# `make test-slow` sets 0 and compiles as users do. Later versions of jaxlib lack the
# emitters, and XLA ends a process at a flag that it does not know.
fast = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
if fast and version("jaxlib").startswith("0.10."):
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"

# They import torch, which is an extra, at the top: not for the doctest collector.
collect_ignore = ["gradlab/bridges/trl.py", "gradlab/bridges/torch_logps.py"]


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    from gradlab.losses import example_pair  # loads jax: after the setting above

    doctest_namespace["example_pair"] = example_pair
