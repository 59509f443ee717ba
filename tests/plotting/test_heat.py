"""Heat strip: colours by sign, text legible on all of them, wrapped and cut."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from gradlab.errors import GradlabError
from gradlab.plotting import plot_token_heat
from gradlab.plotting.heat import MISSING_COLOR, WEIGHT_COLORS, _wrap
from gradlab.tables import select
from tests.plotting.drawing import flaws, texts
from tests.plotting.synthetic import nasty_tokens, tokens_table


def boxes(ax) -> list[PolyCollection]:
    return [c for c in ax.collections if isinstance(c, PolyCollection)]


def test_black_text_is_legible_on_every_colour():
    for place in np.linspace(0, 1, 101):
        rgb = np.array(WEIGHT_COLORS(place)[:3])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        contrast = (linear @ (0.2126, 0.7152, 0.0722) + 0.05) / 0.05
        assert contrast >= 4.5  # WCAG 2, level AA
    assert to_rgb(WEIGHT_COLORS(0.5)) == pytest.approx((1, 1, 1), abs=0.01)


def test_signs_colours_and_gaps():
    table = tokens_table(((6, 6),), losses=("dpo",))
    table["weight"] = [-1.0, 0.0, 1.0, np.nan, 0.5, -0.5] * 2
    faces = boxes(plot_token_heat(table))[0].get_facecolor()[:, :3]
    assert faces[0][2] > faces[0][0] + 0.3  # blue raises
    np.testing.assert_allclose(faces[1], 1, atol=0.01)  # zero is white
    assert faces[2][0] > faces[2][2] + 0.3  # red lowers
    np.testing.assert_allclose(faces[3], to_rgb(MISSING_COLOR))


def test_the_sides_share_the_scale():
    table = tokens_table(((6, 6),), losses=("dpo",))
    table["weight"] = np.where(table["side"] == "chosen", -4.0, 1.0)
    chosen, _, rejected, _ = boxes(plot_token_heat(table))
    distance = lambda c: 1 - c.get_facecolor()[0, :3].min()  # noqa: E731
    assert distance(chosen) > 3 * distance(rejected)


def test_prefixes_are_aligned_and_the_first_difference_outlined():
    table = tokens_table(((60, 70),), losses=("dpo",), prefix=30)
    chosen, mark, rejected, other = boxes(plot_token_heat(table))
    for marked, strip in ((mark, chosen), (other, rejected)):
        (outline,) = marked.get_paths()
        np.testing.assert_allclose(outline.vertices, strip.get_paths()[30].vertices)
    left = [p.vertices[0, 0] for p in chosen.get_paths()[:31]]
    assert left == [p.vertices[0, 0] for p in rejected.get_paths()[:31]]


def test_wrapping_keeps_every_token_in_order_and_inside():
    lengths = [3, 8, 1, 12, 5, 5, 5]
    found, missing = _wrap(["x" * n for n in lengths], columns=12, rows=9)
    assert missing == 0
    assert [b.token for b in found] == list(range(7))
    assert all(b.column + len(b.text) <= 12 for b in found)
    assert [b.row for b in found] == [0, 0, 0, 1, 2, 2, 3]


def test_cutting_makes_room_for_the_mark():
    texts_ = ["abcd"] * 100
    found, missing = _wrap(texts_, columns=40, rows=3)
    assert len(found) + missing == 100
    last = found[-1]
    assert last.row == 2
    assert last.column + 4 + len(f" … (+{missing} tokens)") <= 40


def test_long_text_ends_in_a_mark():
    ax = plot_token_heat(tokens_table(((500, 8),), losses=("dpo",)), max_rows=4)
    shown = [t.get_text() for t in texts(ax.figure)]
    (mark,) = [t for t in shown if "tokens)" in t]
    drawn = len(boxes(ax)[0].get_paths())
    assert mark == f" … (+{500 - drawn} tokens)"
    assert flaws(ax.figure) == []


def test_untrusted_text_fits_its_boxes():
    table = nasty_tokens()
    ax = plot_token_heat(table)
    assert flaws(ax.figure) == []


def test_in_a_single_column():
    figure = Figure(figsize=(3.25, 2), layout="constrained")
    table = tokens_table(((20, 24),), losses=("dpo", "mle"))
    ax = figure.add_subplot()
    plot_token_heat(table, loss="mle", width=3.1, colorbar=False, ax=ax)
    assert flaws(figure) == []


def test_refusals():
    table = tokens_table()
    with pytest.raises(GradlabError, match="one pair can be drawn"):
        plot_token_heat(table)
    with pytest.raises(GradlabError, match=r"no loss 'dpoo'.*dpo"):
        plot_token_heat(select(table, pair=0), loss="dpoo")
