"""Names that the docstrings' examples use without importing them."""

import pytest

from gradlab.losses import example_pair

# They import torch, which is an extra, at the top: not for the doctest collector.
collect_ignore = ["gradlab/bridges/trl.py", "gradlab/bridges/torch_logps.py"]


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace["example_pair"] = example_pair
