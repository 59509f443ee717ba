"""Cells against the losses that they stand for; utility at equal KL."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from analyses.preference_pipeline.cells import (
    FREE,
    budgeted,
    delta_cells,
    grid_cells,
    objective,
    plane_cells,
    sweep_cells,
)
from analyses.preference_pipeline.config import Config, Runs
from analyses.preference_pipeline.equal_kl import at_equal_kl
from gradlab.gradients import token_weights
from gradlab.losses import random_pairs, resolve

RUNS = Runs()
PAIRS = random_pairs(0, batch=6)


def by_label(label: str):
    return next(cell for cell in sweep_cells(RUNS) if cell.loss == label)


def value(cell) -> np.ndarray:
    return np.asarray(objective(cell.program, PAIRS, cell.amounts))


@pytest.mark.parametrize(
    ("label", "spec"),
    [
        ("dpo", "dpo(beta=0.1)"),
        ("dpo + 0.1*mle", "dpo(beta=0.1) + 0.1*mle"),
        ("dpop(lam=50)", "dpop(beta=0.1, lam=50)"),
        ("simpo", "simpo"),
        ("ipo", "ipo"),
        ("bcr_added", "bcr_added(lam=0.2, delta=0)"),
        ("bcr_inside", "bcr_inside(lam=4, delta=0)"),
        ("bcr_added(base=ipo)", "bcr_added(lam=40, delta=0, base=ipo)"),
        ("bcr_inside(base=ipo)", "bcr_inside(lam=4, delta=0, base=ipo)"),
        ("bcr_inside(base=simpo)", "bcr_inside(lam=4, delta=0, base=simpo)"),
    ],
)
def test_a_cell_is_the_loss_it_is_called(label, spec):
    found = np.asarray(resolve(spec)(PAIRS))
    np.testing.assert_allclose(value(by_label(label)), found, rtol=1e-5)


def test_no_budget_is_dpo_whatever_lambda():
    for form in ("outside", "inside"):
        cell = budgeted(RUNS, form, FREE, 4.0)
        np.testing.assert_allclose(value(cell), value(by_label("dpo")), rtol=1e-6)
        for base in RUNS.other_bases:
            cell = budgeted(RUNS, form, FREE, 4.0, base=base)
            np.testing.assert_allclose(value(cell), value(by_label(base.spec)))


@pytest.mark.parametrize(("spec", "unit"), [("dpo(beta=0.1)", 0.05), ("ipo", 10.0)])
def test_units_are_the_weight_of_the_base_at_the_reference(spec, unit):
    pairs = replace(PAIRS, ref_chosen=PAIRS.chosen, ref_rejected=PAIRS.rejected)
    found = np.asarray(token_weights(spec, pairs).chosen)
    assert float(-found.min()) == pytest.approx(unit, rel=1e-5)
    given = {base.spec: base.unit for base in RUNS.other_bases}
    given["dpo(beta=0.1)"] = budgeted(RUNS, "outside", 1.0, 1.0).lam
    assert given[spec] == pytest.approx(unit)


def test_all_cells_of_a_part_differ():
    for cells in (sweep_cells(RUNS), delta_cells(RUNS), grid_cells(RUNS)):
        found = list(cells)
        keys = [(c.part, c.scheme, c.loss, c.delta, c.strength) for c in found]
        assert len(set(keys)) == len(found)


def test_the_full_size_counts_drops_by_token_too():
    config = Config.full()
    assert len(config.seeds) == 10
    cells = list(sweep_cells(config.runs))
    assert {cell.drop for cell in cells} == {"sequence", "token_mean", "tokenwise"}
    assert {cell.shape for cell in cells} == {"hinge", "squared", "softplus"}
    squared = next(cell for cell in cells if cell.shape == "squared")
    given = f"lam={squared.lam}, delta={squared.delta}, shape=squared"
    expected = np.asarray(resolve(f"bcr_added({given})")(PAIRS))
    np.testing.assert_allclose(value(squared), expected, rtol=1e-5)


def test_both_forms_are_on_every_base():
    found = {(c.base, c.form) for c in plane_cells(RUNS) if c.delta != FREE}
    bases = ("dpo(beta=0.1)", "simpo", "ipo")
    assert found == set(itertools.product(bases, ("outside", "inside")))
    points = {
        (c.delta, c.strength) for c in plane_cells(RUNS) if c.loss == "bcr_inside"
    }
    assert points == {(0.0, 4.0), *itertools.product((2.0, 8.0), (0.25, 4.0))}


def test_utility_is_read_where_the_shortest_path_ends():
    paths = {
        "short": np.array([[1.0, 0.6], [2.0, 0.7]]),
        "long": np.array([[4.0, 0.9], [8.0, 0.8]]),
    }
    found = at_equal_kl(paths, 0.5)
    assert found == pytest.approx({"short": 0.7, "long": 0.7})
