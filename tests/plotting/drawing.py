"""What is on a drawn figure: texts with their places, for tests of collisions."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[Text]:
    """The visible texts of a figure, after its layout."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    found += [t for t in (figure._supxlabel, figure._supylabel) if t is not None]
    axes = list(figure.axes)
    axes += [child for ax in axes for child in ax.child_axes]
    for ax in axes:
        if ax.get_visible():
            found += _axes_texts(ax)
    found = list({id(t): t for t in found}.values())
    return [t for t in found if t.get_visible() and t.get_text().strip()]


def _axes_texts(ax: Axes) -> list[Text]:
    found = [*ax.texts, ax.title, ax._left_title, ax._right_title]
    legend = ax.get_legend()
    if legend is not None:
        found += [*legend.get_texts(), legend.get_title()]
    for axis in (ax.xaxis, ax.yaxis):
        if ax.axison and axis.get_visible():
            # Ticks outside the limits exist, but matplotlib doesn't draw them.
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            found += [t.label1 for t in ticks if low <= t.get_loc() <= high]
            found += [axis.label, axis.offsetText]
    return found


def box(text: Text) -> Bbox:
    """Where a text stands, in pixels, a hair smaller than its extent."""
    return text.get_window_extent().padded(-0.5)


def flaws(figure: Figure) -> list[tuple[str, ...]]:
    """Pairs of texts that overlap, and texts that leave the figure."""
    shown = [(t.get_text(), box(t)) for t in texts(figure)]
    overlapping = [
        (first, second)
        for i, (first, a) in enumerate(shown)
        for second, b in shown[:i]
        if a.overlaps(b)
    ]
    return overlapping + clipped(figure, shown)


def clipped(
    figure: Figure, shown: list[tuple[str, Bbox]] | None = None
) -> list[tuple[str, ...]]:
    """Texts that leave the figure."""
    if shown is None:
        shown = [(t.get_text(), box(t)) for t in texts(figure)]
    frame = figure.bbox
    return [
        (text,)
        for text, place in shown
        if place.x0 < frame.x0
        or place.x1 > frame.x1
        or place.y0 < frame.y0
        or place.y1 > frame.y1
    ]
