"""What the figures share: their style, and how one is kept as png, pdf and csv."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import files
from study.report.stats import Interval

# Okabe & Ito's colours, told apart by colour-blind readers; yellow left out as too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
DASHES = ("-", "--", "-.", ":")
STYLE = {
    "pdf.fonttype": 42,  # TrueType: text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "savefig.dpi": 150,
}
FEW = 4
WIDE = {"figsize": (9.5, 4.6), "layout": "constrained"}  # with room for words beside the axes


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk: `name`.png, .pdf and .csv in a folder, and what it shows. window: the
    limits of its vertical axis, where the page has a graph in its place."""

    name: str
    title: str
    caption: str
    window: tuple[float, float] | None = None


def line(i: int) -> tuple[str, str]:
    """The colour and the dashes of the i-th curve."""
    return COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]  # told apart in grey too


def faint(bands: int) -> float:
    """How opaque each of so many bands is, to be seen through the others."""
    return 0.15 if bands <= FEW else 0.06


def points(
    axes: Axes,
    places: Sequence[float],
    scores: Sequence[Interval],
    colour: str,
    label: str = "",
) -> None:
    """Means with their intervals, at one seed without."""
    axes.errorbar(
        places, [score.mean for score in scores], [score.half_width for score in scores],
        fmt="o", color=colour, markersize=4.5, capsize=3, linewidth=1, label=label or None,
    )  # fmt: skip


def limits(curves: Iterable[Sequence[float]], ends: Iterable[float] = ()) -> tuple[float, float]:
    """Limits of an axis that show the later three quarters of curves, and what is added to these,
    such as the ends of their bands; NaN is left out."""
    kept = [np.asarray(curve, dtype=float)[len(curve) // 4 :] for curve in curves]
    shown = np.concatenate([*kept, list(ends)])
    low, high = np.nanmin(shown), np.nanmax(shown)
    margin = 0.08 * (high - low) or 0.01
    return low - margin, high + margin


class Side(NamedTuple):
    """Words for beside the axes and the point they belong to; x None: the axes' right edge."""

    words: str
    colour: str
    x: float | None
    y: float


def side_labels(axes: Axes, labels: Sequence[Side]) -> None:
    """Labels right of the axes, beside their points as far as none covers another."""
    low, high = axes.get_ylim()
    size = 8 if len(labels) <= 8 else 7
    lines = max((label.words.count("\n") + 1 for label in labels), default=1)
    height = 0.78 * 72 * axes.figure.get_figheight()  # of the axes, in points
    gap = min(1 / max(len(labels), 1), 1.3 * size * lines / height)
    wanted = [(label.y - low) / (high - low) for label in labels]
    for label, place, end in zip(labels, spread(wanted, gap), wanted):
        axes.annotate(
            label.words,
            xy=(1.0 if label.x is None else label.x, np.clip(end, 0, 1)),
            xycoords=("axes fraction" if label.x is None else "data", "axes fraction"),
            xytext=(1.04, place),
            textcoords="axes fraction",
            color=label.colour,
            fontsize=size,
            va="center",
            arrowprops={
                "arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in 0 to 1, in the order of `wanted` and near it, at least `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    places = np.asarray(wanted, dtype=float).clip(gap / 2, 1 - gap / 2)
    for before, i in itertools.pairwise(order):
        places[i] = max(places[i], places[before] + gap)
    ceiling = 1 - gap / 2
    for i in order[::-1]:
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    return places.tolist()


def save(
    figure: Figure, folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    layout = figure.get_layout_engine()
    if layout:  # once, not for the png and the pdf each
        layout.execute(figure)
        figure.set_layout_engine("none")
    # No date inside, so that the same runs give the same files.
    for kind, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        files.write(
            folder / f"{name}.{kind}",
            lambda file, k=kind, m=metadata: figure.savefig(file, format=k, metadata=m),
        )
    write_csv(folder / f"{name}.csv", header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A csv with full precision; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if _is_nan(cell) else cell for cell in row])
    files.write(path, lambda file: file.write(text.getvalue().encode()))


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))
