"""Style: colours that tell losses apart, and files that are whole and reproducible."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gradlab.errors import GradlabError
from gradlab.plotting import DOUBLE_COLUMN, SINGLE_COLUMN, loss_styles, save_figure
from gradlab.plotting.style import PALETTE, new_figure, paper_style


def figure():
    with paper_style():
        fig = new_figure(SINGLE_COLUMN, 2)
        ax = fig.add_subplot()
        ax.plot([1, 2], [3, 4], label="a")
        ax.set_title("$x_1$")
        ax.legend()
    return fig


def test_column_widths():
    assert (SINGLE_COLUMN, DOUBLE_COLUMN) == (3.25, 6.75)


def test_styles_are_unique_and_depend_on_the_place_alone():
    names = [f"loss{i}" for i in range(35)]
    styles = loss_styles(names)
    assert len({(s.color, str(s.dashes)) for s in styles.values()}) == 35
    assert len({(s.color, s.marker) for s in list(styles.values())[:21]}) == 21
    assert loss_styles(names[:3]) == {n: styles[n] for n in names[:3]}
    assert list(loss_styles(["a", "b", "a"])) == ["a", "b"]


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


# Viénot, Brettel & Mollon (1999): linear RGB as a dichromat sees it.
PROTAN = np.array(
    [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]
)
DEUTAN = np.array(
    [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]
)


@pytest.mark.parametrize("matrix", [np.eye(3), PROTAN, DEUTAN])
def test_palette_for_colour_blind_readers(matrix):
    seen = [np.clip(matrix @ linear(c), 0, 1) ** (1 / 2.2) for c in PALETTE]
    distances = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.08


def test_palette_stands_out_on_white():
    for color in PALETTE:
        luminance = linear(color) @ (0.2126, 0.7152, 0.0722)
        assert 1.05 / (luminance + 0.05) > 2


def test_style_ends_with_its_block():
    before = mpl.rcParams["font.size"]
    with paper_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert mpl.rcParams["font.size"] == before


def test_files_are_equal_byte_for_byte(tmp_path):
    for folder in ("a", "b"):
        paths = save_figure(figure(), tmp_path / folder / "fig", source="t.csv")
        assert [p.name for p in paths] == ["fig.pdf", "fig.png"]
    fig = figure()
    for _ in range(2):  # saving leaves the figure as it was
        save_figure(fig, tmp_path / "c" / "fig", source="t.csv")
    for name in ("fig.pdf", "fig.png"):
        contents = {(tmp_path / f / name).read_bytes() for f in "abc"}
        assert len(contents) == 1
    pdf = (tmp_path / "a" / "fig.pdf").read_bytes()
    assert b"/CreationDate" not in pdf
    assert b"/Type3" not in pdf
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf


def test_png_has_the_stated_size(tmp_path):
    mpl_image = pytest.importorskip("matplotlib.image")
    (path,) = save_figure(figure(), tmp_path / "fig", formats=["png"])
    assert mpl_image.imread(path).shape[:2] == (600, 975)


def test_other_formats(tmp_path):
    (path,) = save_figure(figure(), tmp_path / "fig", formats=["svg"])
    assert "<dc:date>" not in path.read_text()


def test_failure_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("gradlab.plotting.style.FigureCanvasAgg", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_figure(figure(), tmp_path / "out" / "fig")
    assert list(tmp_path.iterdir()) == []


def test_folder_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(GradlabError, match="it is a file"):
        save_figure(figure(), tmp_path / "out" / "fig")
