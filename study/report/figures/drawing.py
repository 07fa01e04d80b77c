"""The parts that figures share: style, labels beside the axes, and files (png, pdf and csv)."""

import csv
import io
import itertools
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import AutoLocator, LogFormatter
from matplotlib.transforms import ScaledTranslation

from study import escape, files
from study.report.figures import rendering
from study.values import number

if TYPE_CHECKING:  # else they would hold up the processes that import this to render
    from matplotlib.typing import RcKeyType  # matplotlib 3.9 has none

    from study.report.figures.styles import Style
    from study.report.stats import Interval

STYLE: "dict[RcKeyType, Any]" = {
    "pdf.fonttype": 42,  # TrueType: text stays text
    "text.parse_math": False,  # a sweep may have `$` in its name
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "savefig.dpi": 150,
}
FILE_KINDS = (*rendering.KINDS, "csv")  # the files of a figure
FEW_BANDS = 4
MARKED = 8  # markers on a curve, about
BESIDE = 16  # points between the axes and the labels beside them
WRAP = 40  # letters of a line of a label
FEW_LABELS = 8  # beside the axes, up to which they are larger and may have two lines
WIDE: dict[str, Any] = {
    "figsize": (9.5, 4.6),
    "layout": "constrained",
}  # with room for labels beside the axes
NARROW: dict[str, Any] = {"figsize": (7.2, 4.2), "layout": "constrained"}


class PlainLogFormatter(LogFormatter):
    """Names the ticks of a logarithmic axis as settings are written: 1e-5."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return number(float(f"{x:.6g}")) if super().__call__(x, pos) else ""


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk: `name`.png, .pdf and .csv in a folder, with its title and caption.

    window: the limits of its vertical axis, for the graph that the page has in its place; as_is:
    whether a dark page keeps its light and dark, which are those of images or stand for values.
    """

    name: str
    title: str
    caption: str
    window: tuple[float, float] | None = None
    as_is: bool = False


def wrap(label: str, width: int = WRAP) -> str:
    """A label in lines so short that it leaves room for what it stands beside."""
    return "\n".join(line for part in label.split("\n") for line in textwrap.wrap(part, width))


def marker_step(epochs: Sequence[int]) -> int:
    """Every how many epochs a curve has a marker: all have one where they are few."""
    return max(1, round(len(epochs) / MARKED))


def band_opacity(bands: int) -> float:
    """The opacity at which so many bands can be seen through each other."""
    return 0.15 if bands <= FEW_BANDS else 0.06


def draw_points(
    axes: Axes, x: Sequence[float], scores: "Sequence[Interval]", look: "Style", label: str = ""
) -> None:
    """Draw means with their intervals, which one seed has none of."""
    axes.errorbar(
        x, [score.mean for score in scores],
        [[s.mean - s.low for s in scores], [s.high - s.mean for s in scores]],
        fmt=look.marker, color=look.colour, markersize=4.5, capsize=3, linewidth=1,
        label=label or None,
    )  # fmt: skip


class SideLabel(NamedTuple):
    """A text for beside the axes, and the point it belongs to, with the colour of the line to it;
    x None: the axes' right edge."""

    text: str
    colour: str
    x: float | None
    y: float


def set_integer_ticks(axes: Axes) -> None:
    """Put the ticks of the horizontal axis at whole numbers; a single one has room beside it."""
    first, last = axes.dataLim.intervalx
    if first == last:
        axes.set_xlim(first - 0.5, last + 0.5)
    low, high = axes.get_xlim()
    locator = AutoLocator()
    locator.set_params(integer=True, min_n_ticks=1)
    axes.set_xticks([tick for tick in locator.tick_values(low, high) if low <= tick <= high])


def draw_beyond(axes: Axes, x: float, values: Sequence[float], colour: str) -> None:
    """Draw a triangle at each edge of the vertical axis that values leave; NaN leaves none."""
    low, high = axes.get_ylim()
    marks: dict[str, Any] = {"color": colour, "markersize": 5, "clip_on": False, "zorder": 4}
    if any(value < low for value in values):
        axes.plot(x, low, "v", **marks)
    if any(value > high for value in values):
        axes.plot(x, high, "^", **marks)


def draw_side_labels(axes: Axes, labels: Sequence[SideLabel]) -> None:
    """Write labels right of the axes, near their points, so that none covers another."""
    low, high = axes.get_ylim()
    size = 8 if len(labels) <= FEW_LABELS else 7
    lines = max((label.text.count("\n") + 1 for label in labels), default=1)
    # Of the axes, in points.
    height = 0.78 * 72 * axes.figure.bbox.height / axes.figure.dpi
    gap = min(1 / max(len(labels), 1), 1.3 * size * lines / height)
    heights = [(label.y - low) / (high - low) for label in labels]
    # In points from the edge, so that the layout, which narrows the axes, moves them along.
    beside, end = (
        axes.transAxes + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)
        for points in (BESIDE, BESIDE - 2)
    )
    for label, y, point in zip(labels, spread(heights, gap), heights):
        # The line has the colour, in which words so small could hardly be read.
        axes.text(1, y, label.text, transform=beside, color="0.2", fontsize=size, va="center")
        start = axes.transAxes if label.x is None else axes.get_xaxis_transform()
        from_point = (1.0 if label.x is None else label.x, np.clip(point, 0, 1))
        # A line that ends short of its words: to clip one by them takes far longer.
        line = ConnectionPatch(
            from_point, (1, y), start, end, color=label.colour, linewidth=1.2, clip_on=False
        )
        line.set_in_layout(False)
        axes.add_patch(line)


def set_logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic."""
    axis = getattr(axes, f"{which}axis")
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(PlainLogFormatter())
    axis.set_minor_formatter(PlainLogFormatter())


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights in 0 to 1 to be at least `gap` apart, in the same order and near their own."""
    order = np.argsort(heights, kind="stable")
    moved = np.asarray(heights, dtype=float).clip(gap / 2, 1 - gap / 2)
    for lower, i in itertools.pairwise(order):
        moved[i] = max(moved[i], moved[lower] + gap)
    ceiling = 1 - gap / 2
    for i in order[::-1]:
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved.tolist()


def draw_legend(figure: Figure) -> None:
    """Draw the legend of a figure of constrained layout, above its axes."""
    figure.legend(loc="outside upper left", frameon=False, fontsize=7, ncols=2)


def save(
    figure: Figure, folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a figure as png and pdf, and the values that it shows as csv; see rendering.py."""
    rendering.render(figure, folder / name)
    write_csv(folder / f"{name}.csv", header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a csv with full precision, in which NaN is an empty cell and no text a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in itertools.chain([header], rows):
        writer.writerow(["" if _is_nan(cell) else escape.cell(cell) for cell in row])
    files.write_text(path, text.getvalue())


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))
