"""The look of all figures: sizes, fonts, colours, and how a figure is saved.

A paper column is 3.25 in wide, a full page 6.75 in; figures are drawn at the size at
which they are printed, so 8 pt is 8 pt. The typeface is DejaVu Sans because matplotlib
carries it: the same table gives the same picture on every machine.
"""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from gradlab.tables import stage

SINGLE_COLUMN = 3.25  # inches
DOUBLE_COLUMN = 6.75  # inches
DPI = 300  # of PNG files and of dots inside PDF files
SMALL = 6.5  # points: annotations and token text

STYLE: Mapping[Any, Any] = MappingProxyType(
    {
        "font.family": ["DejaVu Sans"],
        "font.size": 8,
        "axes.labelsize": 8,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 2.4,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.03,
        "pdf.fonttype": 42,  # TrueType outlines: journals refuse Type 3
        "ps.fonttype": 42,
        "text.usetex": False,
        "text.parse_math": False,  # a "$" in a token or a label is a dollar sign
        "axes.formatter.use_mathtext": False,
    }
)

# Okabe & Ito (2008), without the yellow that vanishes on white.
PALETTE = (
    "#0072B2",  # blue
    "#D55E00",  # vermillion
    "#009E73",  # bluish green
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",  # black
)
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

RAISED = "#0072B2"  # a gradient step raises the token: w < 0; also: the chosen side
LOWERED = "#D55E00"  # a gradient step lowers the token: w > 0; also: the rejected side
INK = "#222222"
MUTED = "#767676"


@dataclass(frozen=True)
class LineStyle:
    """How one loss is drawn in every figure."""

    color: str
    dashes: Any
    marker: str


def loss_styles(losses: Iterable[str]) -> dict[str, LineStyle]:
    """A style for each loss by its place in the list: 7 colours, then new dashes.

    Colour and dashes together are unique for 35 losses, and the markers, whose cycle
    has another length, tell the rest apart. Pass the same list to every figure.
    """
    return {
        loss: LineStyle(
            PALETTE[i % len(PALETTE)],
            DASHES[i // len(PALETTE) % len(DASHES)],
            MARKERS[i % len(MARKERS)],
        )
        for i, loss in enumerate(dict.fromkeys(losses))
    }


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """Draws what is made inside the block in the paper style."""
    with mpl.rc_context({**STYLE}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches; it belongs to no window and no state."""
    return Figure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """`ax`, or the axes of a new figure of that size in inches."""
    return ax if ax is not None else new_figure(width, height).add_subplot()


def save_figure(
    fig: Figure,
    stem: str | os.PathLike[str],
    *,
    formats: Iterable[str] = ("pdf", "png"),
    source: str = "",
) -> list[Path]:
    """Saves a figure as `<stem>.pdf` and `<stem>.png` (300 dpi), all or none.

    Args:
      fig: any matplotlib figure.
      stem: path without a suffix; its folder is made when missing.
      formats: file types that matplotlib knows.
      source: where the numbers came from; stored in the files' metadata.
    Returns:
      The paths written.
    Raises:
      GradlabError: the folder can't be written, or its disk is full.
    Guarantees: the same figure gives the same bytes (no dates are stored).
    """
    stem = Path(stem)
    paths = []
    with paper_style(), stage(stem.parent) as staged, _laid_out(fig):
        for kind in formats:
            name = f"{stem.name}.{kind}"
            (staged / name).write_bytes(_printed(fig, kind, _metadata(kind, source)))
            paths.append(stem.parent / name)
    return paths


@contextlib.contextmanager
def _laid_out(fig: Figure) -> Iterator[None]:
    """Lays the figure out once for all formats, and leaves it as it was."""
    engine, canvas, dpi = fig.get_layout_engine(), fig.canvas, fig.dpi
    fig.set_dpi(DPI)
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    try:
        yield
    finally:
        fig.set_layout_engine(engine)
        fig.set_dpi(dpi)
        fig.set_canvas(canvas)


def _printed(fig: Figure, kind: str, metadata: dict | None) -> bytes:
    """As `Figure.savefig`, which would lay it out and draw it once more each time.

    In memory first: on a full disk, closing a PDF hides that error behind another.
    """
    fig.set_dpi(DPI)
    printed = io.BytesIO()
    if kind == "png":
        FigureCanvasAgg(fig).print_png(printed, metadata=metadata)
    elif kind == "pdf":
        FigureCanvasPdf(fig).print_pdf(printed, metadata=metadata)
    else:
        fig.savefig(printed, format=kind, dpi=DPI, metadata=metadata)
    return printed.getvalue()


def _metadata(kind: str, source: str) -> dict[str, str | None] | None:
    if kind == "pdf":
        return {"Creator": "gradlab", "CreationDate": None, "Subject": source or None}
    if kind == "svg":
        return {"Creator": "gradlab", "Date": None, "Description": source or None}
    if kind == "png":
        return {"Software": "gradlab", **({"Description": source} if source else {})}
    return None
