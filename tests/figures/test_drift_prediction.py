"""The study's figures from a made-up table with its schema."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analyses.common.rows import per_pair, row
from analyses.drift_prediction.rows import make_table
from figures._drift_over_steps import squeezed_masses
from figures.drift_prediction import CASES, KINDS, draw
from gradlab.errors import GradlabError
from gradlab.measures.entanglement import CASES as MEASURED_CASES
from gradlab.plotting.squeezing import ROLES
from gradlab.tables import select
from tests.plotting.drawing import flaws

LOSSES = ("mle", "dpo", "dpop", "bcr_added(lam=1, delta=0.5)")
NEEDS = {
    "agreement": "token_pred", "pearson": "pearson", "falls": "pred_falls",
    "order": "trap_err", "case_map": "score_inner", "cases": "case",
    "predictors": "edit_norm", "suffix": "suffix_len", "curves": "probe_drift",
    "fan": "probe_drift", "ledger": "ledger", "squeezing": "log_rest",
}  # fmt: skip


def rows_of(kind: str, seed: int):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    keys = {"kind": kind, "seed": seed}
    for loss in LOSSES:
        given = {**keys, "loss": loss, "optimiser": "sgd"}
        for eta in (1e-4, 1e-5):
            yield row("pearson", 1 - rng.uniform(0.1, 1) * eta, eta=eta, **given)
        yield row("pred_falls", rng.uniform(), side="chosen", eta=1e-5, **given)
        if seed == 0:
            for pair in range(20):
                place = {"side": "chosen", "pair": pair, "position": 0, "eta": 1e-5}
                drift = rng.normal()
                yield row("token_pred", drift, **given, **place)
                yield row("token_real", 1.01 * drift, **given, **place)
        if kind in ("edits", "arithmetic"):
            for eta, optimiser in itertools.product((1.0, 0.1, 0.01), ("sgd", "adamw")):
                order = {**given, "part": "order", "eta": eta, "optimiser": optimiser}
                yield row("rel_err", 0.03 * eta, **order)
                yield row("trap_err", rng.uniform(1e-3, 3e-3) * eta**2, **order)
        yield from per_pair("case", rng.integers(1, 4, 12), part="own step", **given)
    norms = rng.lognormal(size=(2, 12))
    yield from per_pair("score_chosen", norms[0], **keys)
    yield from per_pair("score_rejected", norms[1], **keys)
    cosine = rng.uniform(-0.5, 1, 12)
    yield from per_pair("score_inner", cosine * np.sqrt(norms[0] * norms[1]), **keys)
    for metric in ("ches", "ln_ches", "edit_norm", "last_cosine"):
        # One-token answers: all alike, so that no quintile exists.
        values = np.ones(12) if kind == "answers" else rng.normal(size=12)
        yield from per_pair(metric, values, **keys)
    yield from per_pair("suffix_len", [0, 1, 2, 4] * 3, **keys)
    for side in ("chosen", "rejected"):
        drift = {"loss": "dpo", "side": side, **keys}
        yield from per_pair("own_real", 1e-3 * rng.normal(size=12), **drift)
    if kind == "edits":
        for step in (1, 2, 3):
            for part in ("chosen", "rejected", "total"):
                yield row("ledger", rng.normal(), part=part, step=step, **keys)
    if kind == "arithmetic":
        for step in (0, 8, 16):
            for probe in ("chosen", "rejected", "permuted"):
                yield row("probe_drift", -step, probe=probe, step=step, **keys)


def squeezed(seed: int) -> np.ndarray:
    """[before and after, pair, role] masses of the argmax, the pushed token, others."""
    rng = np.random.default_rng([seed, 99])
    before = rng.dirichlet([6, 0.5, 4], 7) + 1e-3
    before /= before.sum(axis=1, keepdims=True)
    after = before * rng.uniform([0.8, 0.2, 0.8], [1.4, 0.6, 1.2], (7, 3))
    return np.stack([before, after / after.sum(axis=1, keepdims=True)])


def squeezing_rows(seed: int):
    keys = {"kind": "edits", "seed": seed, "part": "decoder"}
    before, after = squeezed(seed)
    for role, old, new in zip(ROLES, before.T, after.T, strict=True):
        yield from per_pair(f"log_{role}", np.log(new / old), **keys)
    share = np.linspace(0, 1, len(before))
    yield from per_pair("top_before", before[:, 0], **keys)
    yield from per_pair("absorbed", share, **keys)
    tabular = {"seed": seed, "part": "tabular"}
    yield from per_pair("top_before", 0.9 * share, **tabular)
    yield from per_pair("absorbed", share, **tabular)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [line for seed in range(3) for kind in KINDS for line in rows_of(kind, seed)]
    rows += [line for seed in range(3) for line in squeezing_rows(seed)]
    return make_table(
        [*rows, row("kinked", 1, loss="dpop"), row("kinked", 0, loss="dpo")]
    )


def test_cases_are_those_of_the_measure():
    assert CASES == MEASURED_CASES


def test_all_figures_from_the_documented_table(table):
    figures = draw(table)
    assert set(figures) == set(NEEDS)
    for name, figure in figures.items():
        assert flaws(figure) == [], name


@pytest.mark.parametrize("name", NEEDS)
def test_a_figure_without_its_metric_is_left_out(table, name):
    found = draw(table[table["metric"] != NEEDS[name]])
    assert name not in found
    assert "pearson" in found or name == "pearson"


def test_the_grid_holds_the_smallest_step_and_marks_kinks(table):
    ax = draw(table)["pearson"].axes[0]
    rows = table[(table["metric"] == "pearson") & (table["eta"] == 1e-5)]
    one = rows[(rows["loss"] == "mle") & (rows["kind"] == "edits")]["value"]
    text = next(t.get_text() for t in ax.texts if t.get_position() == (0.5, 0.5))
    mantissa, _, power = text.partition("×10")
    shown = float(mantissa) * 10.0 ** int(power.replace("⁻", "-").translate(
        str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
    ))  # fmt: skip
    assert shown == pytest.approx(1 - one.mean(), rel=0.05)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert [n for n in names if n.endswith("*")] == ["dpop *"]


def test_predictors_leave_out_kinds_that_do_not_vary(table):
    figure = draw(table)["predictors"]
    (legend,) = figure.legends
    named = [t.get_text() for t in legend.get_texts()]
    assert named == [kind for kind in KINDS if kind != "answers"]


def test_masses_before_and_after_are_recovered_from_their_ratios(table):
    masses = squeezed_masses(table)
    for seed in range(3):
        for when, expected in zip(("before", "after"), squeezed(seed), strict=True):
            own = select(masses, seed=seed, when=when)
            found = own.pivot_table(index="pair", columns="role", values="value")
            np.testing.assert_allclose(found[list(ROLES)], expected, atol=1e-6)


def test_the_fan_has_a_range_for_every_probe(table):
    figure = draw(table)["fan"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "answers of pairs", "other texts"
    ]  # fmt: skip
    assert [len(ax.collections) for ax in figure.axes] == [2, 1]


def test_refuses_another_schema(table):
    with pytest.raises(GradlabError, match=r"drift_prediction lacks .*metric"):
        draw(table.drop(columns="metric"))
