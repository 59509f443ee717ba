"""The figure set: complete, legible, nothing collides, nothing interpreted."""

import warnings

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import comparison_figures, save_figure
from tests.plotting.drawing import clipped, flaws, texts
from tests.plotting.synthetic import (
    LOSSES,
    nasty_tokens,
    summary_table,
    tokens_table,
)

NAMES = ["mass", "token_weights", "token_heat", "penalty"]


@pytest.fixture(scope="module")
def figures():
    return comparison_figures(tokens_table(), summary_table())


def test_the_set_has_paper_sizes(figures):
    assert list(figures) == NAMES
    for figure in figures.values():
        width, height = figure.get_size_inches()
        assert width == 6.75
        assert height <= 9.0


@pytest.mark.parametrize("name", NAMES)
def test_fifteen_losses_do_not_collide_and_nothing_is_cut_off(figures, name):
    assert flaws(figures[name]) == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_losses(count):
    losses = LOSSES[:count]
    set_ = comparison_figures(tokens_table(losses=losses), summary_table(losses))
    for figure in set_.values():
        assert flaws(figure) == []


@pytest.mark.parametrize("name", ["mass", "token_weights", "penalty"])
def test_every_loss_is_named(figures, name):
    shown = {t.get_text() for t in texts(figures[name])}
    assert shown >= {loss[:21] + "…" if len(loss) > 22 else loss for loss in LOSSES}


def test_smallest_type_is_legible(figures):
    for figure in figures.values():
        assert min(t.get_fontsize() for t in texts(figure)) >= 6


def test_untrusted_text_draws_without_a_warning(tmp_path):
    tokens = nasty_tokens()
    summary = summary_table(tuple(tokens["loss"].unique()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in comparison_figures(tokens, summary).items():
            save_figure(figure, tmp_path / name)
            assert clipped(figure) == []
            shown = "".join(t.get_text() for t in texts(figure))
            assert not {"\r", "\x00", "\u202e", "\u200b", "\ufffd"} & set(shown)
            assert "$\\alpha$" in shown or name == "token_heat"


def test_selection_of_losses_pair_and_figures():
    found = comparison_figures(
        tokens_table(), summary_table(), pair=2, losses=["dpo", "mle"], include=["mass"]
    )
    assert list(found) == ["mass"]
    left = found["mass"].axes[0]
    assert [t.get_text() for t in left.get_yticklabels()] == ["dpo", "mle"]


def test_refusals():
    tokens, summary = tokens_table(), summary_table()
    with pytest.raises(GradlabError, match=r"no loss 'dop'.*dpo"):
        comparison_figures(tokens, summary, losses=["dop"])
    with pytest.raises(GradlabError, match="pair 77 of the tokens table has no rows"):
        comparison_figures(tokens, summary, pair=77)
    with pytest.raises(GradlabError, match=r"the tokens table lacks .*weight"):
        comparison_figures(tokens.drop(columns="weight"), summary)
    with pytest.raises(GradlabError, match="the tokens table has no rows"):
        comparison_figures(tokens.iloc[:0], summary)
    with pytest.raises(GradlabError, match=r"the summary table lacks .*share_at"):
        comparison_figures(tokens, summary.drop(columns="share_at"))


def test_weights_that_are_not_finite_are_drawn_as_gaps():
    tokens = tokens_table(losses=LOSSES[:3])
    tokens.loc[tokens["position"] % 3 == 0, "weight"] = np.nan
    tokens.loc[tokens["position"] % 5 == 1, "weight"] = np.inf
    for figure in comparison_figures(tokens, summary_table(LOSSES[:3])).values():
        figure.draw_without_rendering()


def test_all_weights_zero():
    tokens = tokens_table(losses=("mle",)).assign(weight=0.0)
    summary = summary_table(("mle",)).assign(
        mass_chosen=0.0, mass_rejected=0.0, share_before=np.nan, share_at=np.nan,
        share_after=np.nan,
    )  # fmt: skip
    figures = comparison_figures(tokens, summary)
    assert "no weight" in {t.get_text() for t in texts(figures["mass"])}
