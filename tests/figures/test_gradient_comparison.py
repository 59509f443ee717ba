"""The study's figures from a table with the documented schema."""

import numpy as np
import pytest

from figures.gradient_comparison import SUMMARY, draw, summary_table, tokens_table
from gradlab.errors import GradlabError
from gradlab.plotting import save_figure
from gradlab.tables import select
from tests.figures.synthetic import ANSWERS, LOSSES, study_table, weights
from tests.plotting.drawing import clipped, flaws

NAMES = {
    "mass", "token_weights", "token_heat", "penalty_curves", "length_curves", "prefix",
    "logits",
}  # fmt: skip


def test_all_figures_from_the_documented_table():
    figures = draw(study_table())
    assert set(figures) == NAMES
    for name, figure in figures.items():
        # The slanted labels of the bars overlap as boxes, not as letters.
        assert (clipped if name == "logits" else flaws)(figure) == []


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("penalty_weight", "penalty_curves"),
        ("weight_by_length", "length_curves"),
        ("prefix_net_weight", "prefix"),
        ("logit_gradient", "logits"),
    ],
)
def test_a_figure_without_its_metric_is_left_out(metric, name):
    table = study_table(seeds=1, pairs=1)
    assert name not in draw(table[table["metric"] != metric])
    assert set(draw(table[table["metric"] == metric])) == {name}


def test_tokens_are_those_of_the_first_seed():
    tokens = tokens_table(study_table())
    assert len(tokens) == 2 * len(LOSSES) * sum(map(len, ANSWERS.values()))
    one = tokens[(tokens["pair"] == 1) & (tokens["side"] == "rejected")]
    for loss in LOSSES:
        own = one[one["loss"] == loss]
        assert list(own["token"]) == [" " + word for word in ANSWERS["rejected"]]
        expected = weights(loss, own["logp"].to_numpy(), "rejected")
        np.testing.assert_allclose(own["weight"], expected, rtol=1e-12)


def test_summary_has_means_over_seeds_and_intervals():
    table = study_table(seeds=4)
    summary = summary_table(table)
    assert list(summary["loss"]) == list(LOSSES)
    rows = table[(table["metric"] == "mass_chosen") & (table["loss"] == "dpo")]
    dpo = summary.set_index("loss").loc["dpo"]
    assert dpo["mass_chosen"] == pytest.approx(rows["value"].mean())
    assert dpo["mass_chosen_low"] < dpo["mass_chosen"] < dpo["mass_chosen_high"]
    assert np.isnan(summary_table(study_table(seeds=1))["mass_chosen_low"]).all()
    assert set(SUMMARY) <= set(summary.columns)


def test_a_loss_has_one_colour_in_all_curves():
    figures = draw(study_table(seeds=1))
    colors: dict[str, set] = {}
    for name in ("penalty_curves", "prefix", "length_curves"):
        legend = figures[name].axes[0].get_legend()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True):
            colors.setdefault(text.get_text(), set()).add(
                (line.get_color(), line.get_marker())
            )
    assert all(len(found) == 1 for found in colors.values())
    assert len({next(iter(found)) for found in colors.values()}) == len(colors)


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        figure = draw(study_table(seeds=1, pairs=1))["token_heat"]
        save_figure(figure, tmp_path / folder / "heat", source="x")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_refuses_another_schema():
    with pytest.raises(GradlabError, match=r"gradient_comparison lacks .*metric"):
        draw(study_table().drop(columns="metric"))
    curves = select(study_table(seeds=1), metric="penalty_weight", loss="dpo")
    with pytest.raises(GradlabError, match=r"metric penalty_weight lacks .* p;"):
        draw(curves.iloc[:1].drop(columns="p"))
    pairs = select(study_table(seeds=1, pairs=1), metric=["weight", "logp", *SUMMARY])
    with pytest.raises(GradlabError, match="the token part of the table lacks"):
        draw(pairs.drop(columns="pair"))
