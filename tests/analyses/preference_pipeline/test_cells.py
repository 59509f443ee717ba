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
from analyses.preference_pipeline.equal_kl import (
    equal_kl_rows,
    lead,
    make_path,
    utility_at,
)
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


def path(*points: tuple[float, float]) -> np.ndarray:
    kl, utility = zip(*points, strict=True)
    return make_path(0.5, kl, utility)


def test_utility_is_linear_in_the_root_of_kl_up_to_the_first_crossing():
    """A policy that moves along a line: KL its square, utility the line itself."""
    steps = np.array([0.2, 1.0, 1.5])
    line = path(*zip(steps**2, 0.5 + 0.2 * steps, strict=True))
    for step in (0.1, 0.6, 1.3):
        assert utility_at(line, step**2) == pytest.approx(0.5 + 0.2 * step)
    back = path((4.0, 0.9), (1.0, 0.2), (9.0, 0.1))
    assert utility_at(back, 1.0) == pytest.approx(0.7)
    assert np.isnan(utility_at(back, 9.1))


def test_two_runs_are_compared_where_the_nearer_ends():
    near, far = path((0.25, 0.6), (1.0, 0.7)), path((4.0, 0.9), (9.0, 0.8))
    assert lead(near, far) == pytest.approx(0.0)
    assert lead(far, path((5.0, 1.0))) == pytest.approx(0.9 - 0.1 * (5**0.5 - 2) - 1.0)


def test_a_sweep_is_compared_where_the_first_of_all_ends():
    cells = list(delta_cells(RUNS))[:2]
    runs = {
        cell: [
            {"metric": metric, "value": value}
            for metric, value in (("kl", end), ("utility", utility))
        ]
        for cell, end, utility in zip(cells, (1.0, 4.0), (0.7, 0.9), strict=True)
    }
    rows = {cell: found for cell, found in equal_kl_rows(runs, 0.5, 150)}
    assert [found["value"] for found in rows.values()] == pytest.approx([0.7, 0.7])
    assert {found["step"] for found in rows.values()} == {150}
