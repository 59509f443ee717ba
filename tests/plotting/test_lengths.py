"""Figures of an analysis of length, on made-up tables."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.escapes import is_hidden
from gradlab.plotting import (
    length_figures,
    plot_estimates,
    plot_length_map,
    plot_length_profile,
    save_figure,
)
from gradlab.plotting.lengthmaps import BOTH, even_norm, length_maps_figure
from tests.plotting.drawing import flaws, texts
from tests.plotting.synthetic import NASTY_LABELS

LOSSES = ["dpo", "averaged_dpo", "mle", "lddpo(alpha=0.25, weight_reference=False)"]


def pairs_table(losses=LOSSES, count=60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for loss in losses:
        one, two = rng.integers(2, 200, size=(2, count))
        averaged = loss == "averaged_dpo"
        part = {"loss": loss, "pair": np.arange(count)}
        for side, length in (("chosen", one), ("rejected", two)):
            weight = 1 / length if averaged else np.full(count, 0.05)
            weight = weight * (not (loss == "mle" and side == "rejected"))
            part |= {f"length_{side}": length, f"weight_{side}": weight}
            part |= {f"mass_{side}": weight * length}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def summary_table(losses=LOSSES) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"loss": losses})
    for name in ("mass_length", "margin", "margin_partial", "slope", "slope_partial"):
        value = rng.uniform(-0.9, 0.9, len(losses))
        value[0] = np.nan
        table[f"rho_{name}"] = value
        table[f"rho_{name}_low"] = value - 0.1
        table[f"rho_{name}_high"] = value + 0.1
    return table


@pytest.mark.parametrize("count", [1, 4, 13])
def test_all_figures_are_clean(count):
    losses = (LOSSES + [f"loss_{k}" for k in range(9)])[:count]
    figures = length_figures(pairs_table(losses), summary_table(losses))
    assert list(figures) == ["weights", "correlations", "maps"]
    for name, figure in figures.items():
        assert flaws(figure) == [], name
        assert figure.get_figwidth() == 6.75


def test_untrusted_labels_draw_without_a_warning(tmp_path):
    losses = list(NASTY_LABELS)
    figures = length_figures(pairs_table(losses), summary_table(losses))
    for name, figure in figures.items():
        save_figure(figure, tmp_path / name)
        shown = "".join(t.get_text() for t in texts(figure))
        assert not any(is_hidden(c) for c in shown if c != "\n"), name
        assert not any(t.get_parse_math() for t in texts(figure) if "$" in t.get_text())


def test_profiles_of_summed_and_averaged_losses():
    """Weight per token: flat for DPO, falling for averaged; mass the other way."""
    table = pairs_table()
    for what, flat in (("weight", "dpo"), ("mass", "averaged_dpo")):
        ax = plot_length_profile(table, what=what, losses=["dpo", "averaged_dpo"])
        for loss, line in zip(("dpo", "averaged_dpo"), ax.lines[1:], strict=True):
            y = line.get_ydata()
            assert (np.ptp(y) < 1e-9) == (loss == flat)
    with pytest.raises(GradlabError, match="no loss 'dpoo'"):
        plot_length_profile(table, losses=["dpoo"])


def test_a_map_shows_each_cell_where_its_lengths_are():
    cells = pd.DataFrame(
        {"length_chosen": [1, 2], "length_rejected": [2, 2], "value": [-3.0, 3.0]}
    )
    ax = plot_length_map(cells)
    drawn = ax.collections[0].get_array()
    assert drawn[1].tolist() == [-3.0, 3.0]  # second row: two rejected tokens
    assert np.ma.getmaskarray(drawn)[0].all()
    norm = even_norm(cells["value"])
    assert (norm.vmin, norm.vmax) == (-3.0, 3.0)
    low, high = BOTH(0.0), BOTH(1.0)
    assert low[0] > low[2]  # vermillion where the rejected side weighs more
    assert high[2] > high[0]
    fig = length_maps_figure({"dpo": cells, "ipo": cells}, value="v")
    assert {"dpo", "ipo"} <= {t.get_text() for t in texts(fig)}


def test_estimates_stand_in_their_rows():
    table = pd.DataFrame(
        {"row": ["a", "b"], "value": [0.5, np.nan], "low": 0.4, "high": 0.6}
    )
    ax = plot_estimates(table, rows=["b", "a"])
    dots = ax.lines[-1]
    assert dots.get_ydata().tolist() == [0, 1]
    assert np.isnan(dots.get_xdata()[0])
    assert dots.get_xdata()[1] == 0.5
    with pytest.raises(GradlabError, match="the table of estimates lacks"):
        plot_estimates(table.drop(columns="low"), rows=["a"])
