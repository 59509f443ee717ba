"""Descriptions are parsed from docstrings, completely."""

import inspect
import re

import pytest

from gradlab.errors import LossInputError
from gradlab.losses import LOSSES, example_pair, resolve
from gradlab.losses.describe import describe_loss, list_losses, sections

from .cases import one_setting

HEADINGS = [
    *("Summary", "Formula", "Gradient", "Args", "Returns", "Raises"),
    *("Conventions", "Example", "References"),
]
# What is marked as inferred must not read like a paper's published loss.
INFERRED = ("dpo_mle", "dpo_exmate", "bcr_added", "bcr_inside", "flexdpo")


@pytest.mark.parametrize("name", LOSSES)
def test_docstrings_are_in_the_house_order(name):
    parts = sections(LOSSES[name].function)
    assert list(parts) == HEADINGS
    assert all(parts.values())
    assert "\n" not in parts["Summary"]


@pytest.mark.parametrize("name", LOSSES)
def test_every_argument_is_described(name):
    described = describe_loss(name)
    assert list(described.arguments) == list(LOSSES[name].defaults)
    assert all(len(text) > 1 for text in described.arguments.values())
    assert set(described.defaults) | set(described.required) == set(described.arguments)


@pytest.mark.parametrize("name", LOSSES)
def test_the_text_shows_all_of_it(name):
    text = describe_loss(name).text()
    for part in ("Formula:", "Gradient:", "Conventions:", "BibTeX:", name):
        assert part in text
    for keyword in LOSSES[name].defaults:
        assert keyword in text


@pytest.mark.parametrize("name", INFERRED)
def test_what_is_inferred_says_so(name):
    described = describe_loss(name)
    assert described.references.startswith("Inferred from")
    assert "inferred" in described.conventions.lower()


@pytest.mark.parametrize("name", LOSSES)
def test_examples_use_the_fixed_pair(name):
    """The doctest runs it; here: it is this loss, and it prints four decimals."""
    example = sections(LOSSES[name].function)["Example"]
    assert re.search(rf"{name}\(example_pair\(\)", example)
    value = float(re.search(r"'(-?[\d.]+)'", example)[1])
    hyper = one_setting(name)
    if f"{name}(example_pair())" in example and not hyper:
        assert abs(resolve(name)(example_pair())[0] - value) < 5.1e-5


def test_rows_and_names():
    rows = list_losses()
    assert [row["name"] for row in rows] == list(LOSSES)
    assert set(rows[0]) == {"name", "family", "formula", "needs_reference", "citation"}
    assert all("\n" not in row["formula"] for row in rows)


def test_aliases_lead_to_the_loss():
    assert describe_loss("sigmoid_norm").name == "averaged_dpo"
    assert describe_loss("averaged_dpo").aliases == ("sigmoid_norm",)


def test_coupling_is_told():
    assert describe_loss("aot").coupling.endswith("ordered by rank, not by pair")
    assert "reduction='batch'" in describe_loss("exmate").coupling
    assert describe_loss("dpo").coupling == ""


def test_near_misses():
    with pytest.raises(LossInputError, match=r"did you mean .*simpo"):
        describe_loss("simpoo")


def test_sections_of_a_bare_function():
    def bare(pairs):
        return pairs

    assert sections(bare) == {"Summary": ""}
    assert inspect.getdoc(bare) is None
