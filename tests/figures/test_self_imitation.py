"""The study's figures from a made-up table with its schema."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analyses.common.rows import row
from analyses.self_imitation.members import GSIL, LEARNERS, MEMBERS, ON_PAIRS
from analyses.self_imitation.rows import make_table
from figures.self_imitation import NAMES, draw
from gradlab.errors import GradlabError
from tests.plotting.drawing import flaws

NEEDS = {
    "members": "identity", "iterations": "exact", "sides": "lm pairs",
    "shifts": "lm scale", "calibration": "calibration", "spread": "sampled",
    "words": "words own rate",
}  # fmt: skip


def rows_of(seed: int):
    rng = np.random.default_rng(seed)
    for place, loss in enumerate(LEARNERS):
        keys = {"loss": loss, "seed": seed, "decoding": "sampled", "shift": 0.0}
        scales = (0.1, 1.0) if loss != "sft" else (1.0,)
        for scale, iteration in itertools.product(scales, range(4)):
            given = {**keys, "scale": scale, "iteration": iteration}
            kl = rng.uniform(0.5, 1) * 10.0 ** (-iteration * scale * place)
            yield row("kl_data_policy", kl, part="exact", **given)
            for draw_ in range(3):
                kl = rng.lognormal()
                yield row("kl_data_policy", kl, part="sampled", draw=draw_, **given)
        for iteration in range(4):
            given = {**keys, "scale": 0.1, "iteration": iteration, "part": "lm"}
            yield row("kl_data_policy", rng.uniform(), **given)
            yield row("acc", rng.uniform(), **given)
        for part, iteration in itertools.product(("words", "words own rate"), range(4)):
            given = {**keys, "scale": 0.1, "iteration": iteration, "part": part}
            yield row("kl_data_policy", rng.uniform(), **given)
            yield row("acc", 0.4 + 0.1 * iteration * rng.uniform(), **given)
            yield row("logp_real", -8.0 + iteration, **given)
            yield row("logp_gen", -3.0 - iteration, **given)
            for step in (8, 16) if iteration else ():
                yield row("d_chosen_sum", 0.1 * step, step=step, **given)
                yield row("d_rejected_sum", -0.2 * step, step=step, **given)
    for part, losses in (("lm", LEARNERS), ("lm pairs", ON_PAIRS)):
        for loss, step in itertools.product(losses, (8, 16)):
            given = {"part": part, "loss": loss, "seed": seed, "step": step}
            given |= {"iteration": 1, "decoding": "sampled" if part == "lm" else ""}
            yield row("d_chosen_sum", 0.1 * step * rng.normal(), **given)
            yield row("d_rejected_sum", -step * rng.uniform(), **given)
    for part, scale, shift in itertools.product(
        ("drain source", "lm scale"), (0.01, 0.1, 0.3, 1.0), (0.0, 0.5, 2.0)
    ):
        given = {"part": part, "loss": "bernoulli", "seed": seed}
        given |= {"scale": scale, "shift": shift, "iteration": 1}
        if part == "lm scale":
            yield row("d_chosen_sum", 99.0, step=8, **given)
            given["step"] = 16
        yield row("d_chosen_sum", -shift / scale + 0.1 * rng.normal(), **given)
    for loss, outcome in itertools.product(MEMBERS, range(5)):
        given = {"loss": loss, "seed": seed, "outcome": outcome}
        ratio = rng.normal()
        for part, metric in (("optimum", "fitted_z"), ("calibration", "learned")):
            if part == "optimum" or loss in GSIL:
                yield row("log_ratio", ratio, part=part, **given)
                yield row(metric, ratio, part=part, **given)


def curve_rows():
    for member, z in itertools.product(MEMBERS, np.linspace(-4, 4, 9)):
        for metric in ("loss_real", "loss_gen", "slope_real", "slope_gen"):
            value = np.exp(z) if metric.endswith("gen") else -np.exp(-z)
            yield row(metric, value, part="identity", loss=member, z=z)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [line for seed in range(3) for line in rows_of(seed)]
    return make_table([*rows, *curve_rows()])


@pytest.fixture(scope="module")
def figures(table):
    return draw(table)


def test_names_are_those_of_the_study():
    assert set(NAMES) == {*LEARNERS, *MEMBERS, *ON_PAIRS}


def test_all_figures_from_the_documented_table(figures):
    assert set(figures) == set(NEEDS)
    for name, figure in figures.items():
        assert flaws(figure) == [], name


@pytest.mark.parametrize("name", NEEDS)
def test_a_figure_without_its_part_is_left_out(table, name):
    found = draw(table[table["part"] != NEEDS[name]])
    assert name not in found
    assert found


def test_cells_hold_the_drift_at_the_end_and_its_target(figures):
    left, right = figures["shifts"].axes[:2]
    for ax in (left, right):
        written = [text.get_text() for text in ax.texts]
        assert len(written) == 12
        first = next(text for text in written if text.endswith("−200"))
        assert first.startswith("−200")
        assert not any(text.startswith("99") for text in written)


def test_word_problems_show_sides_and_margin(figures):
    panels = {ax.get_title(loc="left"): ax for ax in figures["words"].axes}

    def first(title):
        line = panels[title].lines[1]  # behind the line at nought
        return [float(y) for y in line.get_ydata()]

    assert first("margin of log(π / πₜ)") == pytest.approx([4.8] * 3)
    # What the samples had under who wrote them, and the drift since.
    assert first("negatives, after training on them") == pytest.approx(
        [-3 - 3.2, -4 - 3.2, -5 - 3.2]
    )
    assert first("demonstrations") == pytest.approx([-8, -7, -6, -5])


def test_half_estimates_have_no_policy(figures):
    panels = {
        ax.get_title(loc="left"): ax for ax in figures["calibration"].axes if ax.axison
    }
    assert len(panels["exp(z)"].lines[1].get_xdata()) == 0
    assert len(panels["LSIF"].lines[1].get_xdata()) == 15


def test_refuses_another_schema(table):
    with pytest.raises(GradlabError, match=r"self_imitation lacks .*metric"):
        draw(table.drop(columns="metric"))
