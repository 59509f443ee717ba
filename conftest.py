"""Names that the docstrings' examples use without importing them."""

import pytest

from gradlab.losses import example_pair


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace["example_pair"] = example_pair
