"""The study's figures from a made-up table with its schema."""

import numpy as np
import pandas as pd
import pytest

from analyses.common.rows import per_pair, row
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.exact import CURVES
from analyses.gradient_framework.rows import make_table
from figures.gradient_framework import NAMES, ORDER, draw
from gradlab.errors import GradlabError
from tests.plotting.drawing import clipped, flaws, texts

CONFIG = Config()
NEEDS = {
    "penalty": "penalty_weight", "lengths": "weight_by_length",
    "prefix": "prefix_net_weight", "logits": "logit_gradient",
    "trajectories": "p_third", "tradeoff": "agility", "off_support": "off_support",
    "condition": "threshold",
}  # fmt: skip
STAGED = [", then ".join(stage) for stage in CONFIG.stages]


def curve_rows():
    for number, loss in enumerate(CURVES):
        keys = {"kind": "curve", "loss": loss, "seed": 0}
        for p in (0.01, 0.2, 0.5, 0.8, 0.99):
            weight = (number + 1) * p / (1 - p)
            yield row("penalty_weight", weight, p=p, **keys)
            yield row("prefix_net_weight", weight - 1, p=p, **keys)
        for length in (1, 2, 4, 8):
            yield row(
                "weight_by_length", (number + 1) * 0.6**length, length=length, **keys
            )
        for region, value in zip(
            ("good", "bad", "third", "rest"), (-0.5, 0.3, 0.15, 0.05), strict=True
        ):
            yield row("logit_gradient", value, region=region, **keys)


def rows_of(seed: int):
    rng = np.random.default_rng(seed)
    for loss in CONFIG.tabular_losses:
        for step in (0, 1, 2, 4, 8):
            keys = {"kind": "tabular", "loss": loss, "seed": seed, "step": step}
            for metric in ("p_good", "p_bad", "p_third"):
                yield row(metric, rng.uniform(0, 0.3), **keys)
    for model, losses in (
        ("decoder", [*CONFIG.losses, *STAGED]),
        ("log-linear", ["mle(reduction=mean)", "exmate(lam=1)", "exmate(lam=5)"]),
    ):
        for number, loss in enumerate(losses):
            keys = {
                "kind": "g2", "model": model, "loss": loss, "seed": seed,
                "matching": "rate", "rho": 0.3, "false_neg": 0.0,
            }  # fmt: skip
            yield row("ce_pos", 1.4 + 0.02 * number + 0.01 * rng.normal(), **keys)
            yield row("agility", 1 + 0.1 * number + 0.1 * rng.normal(), **keys)
    for loss in CONFIG.size_losses:
        for size in (64, 256, 1024):
            yield row(
                "off_support", rng.uniform(0.1, 0.9), size=size, loss=loss, seed=seed,
                kind="g2", model="decoder, fresh", rho=0.3, false_neg=0.0,
            )  # fmt: skip
    keys = {"kind": "g2", "seed": seed, "part": "condition"}
    yield from per_pair("threshold", rng.lognormal(1, 0.5, 12), **keys)
    for number, loss in enumerate(CONFIG.condition_losses):
        yield from per_pair("ratio", [10.0 ** (number - 6)] * 12, loss=loss, **keys)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [line for seed in range(3) for line in rows_of(seed)]
    return make_table([*curve_rows(), *rows])


def test_every_loss_of_the_study_has_a_name():
    losses = {*CONFIG.losses, *CONFIG.tabular_losses, *CONFIG.size_losses, *STAGED}
    swept = {f"exmate(lam={lam:g})" for lam in CONFIG.sweep_lams}
    assert losses | swept | set(CURVES) <= {*NAMES, *ORDER}


def test_all_figures_from_the_documented_table(table):
    figures = draw(table)
    assert set(figures) == set(NEEDS)
    for name, figure in figures.items():
        assert not any("$" in text.get_text() for text in texts(figure)), name
        # Boxes of the turned labels under the bars overlap; their letters don't.
        assert (clipped if name == "logits" else flaws)(figure) == [], name


@pytest.mark.parametrize("name", NEEDS)
def test_a_figure_without_its_metric_is_left_out(table, name):
    found = draw(table[table["metric"] != NEEDS[name]])
    assert set(found) == set(NEEDS) - {name}


def test_one_loss_has_one_colour(table):
    figures = draw(table)
    drawn = {
        name: {
            text.get_text(): line.get_color()
            for legend in [*figures[name].legends, figures[name].axes[0].get_legend()]
            if legend is not None
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=False)
        }
        for name in ("penalty", "prefix", "lengths", "trajectories", "off_support")
    }
    for loss in ("unlikelihood (token)", "exmate (token)"):
        assert len({shown[loss] for shown in drawn.values()}) == 1


def test_lambdas_are_joined_in_order(table):
    axes = draw(table)["tradeoff"].axes
    (path,) = [line for line in axes[-1].lines if line.get_linestyle() == "-"]
    rows = table[(table["model"] == "log-linear") & (table["metric"] == "agility")]
    means = rows.groupby("loss")["value"].mean()
    losses = ["mle(reduction=mean)", "exmate(lam=1)", "exmate(lam=5)"]
    np.testing.assert_allclose(path.get_ydata(), means[losses])


def test_pairs_that_nothing_lowers_count_too(table):
    few = table[(table["metric"] != "threshold") | (table["pair"] < 3)]  # 3 of 12
    (ax,) = draw(few)["condition"].axes
    steps = ax.lines[0].get_ydata()
    assert steps[-1] == pytest.approx(0.25)


def test_refuses_another_schema(table):
    with pytest.raises(GradlabError, match=r"gradient_framework lacks .*metric"):
        draw(table.drop(columns="metric"))
