"""The published curves over ours, a panel a variant."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report import stats
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import limits
from study.report.figures.styles import COLOURS
from study.report.text.published import Reproduced

COLUMNS = 3
HEADER = ("study", "variant", "label", "epoch", "published", "seeds", "mean", "low", "high")


def draw(folder: Path, reproduced: Sequence[Reproduced]) -> SavedFigure | None:
    """Draw a published curve, or its last figure, thin over our mean and band; None without any."""
    if not reproduced:
        return None
    columns = min(COLUMNS, len(reproduced))
    lines = math.ceil(len(reproduced) / columns)
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 0.5 + 2.5 * lines), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, one in zip(panels, reproduced):
            _draw_panel(axes, one)
        for axes in panels[len(reproduced) :]:
            axes.axis("off")
        for axes in panels[::columns]:
            axes.set_ylabel("test accuracy (%)")
        legends = [axes.get_legend_handles_labels() for axes in panels]
        longest = max(legends, key=lambda legend: len(legend[0]))
        figure.legend(*longest, loc="outside upper center", ncols=2, frameon=False)
        rows = [row for one in reproduced for row in _rows(one)]
        drawing.save(figure, folder, "published", HEADER, rows)
    return SavedFigure(
        "published",
        "Published and reproduced",
        "Thick: our mean over seeds, with its 95 % t interval (none at one seed). Thin and black:"
        " the published run, one seed; a cross where only its last figure is known. Each"
        " panel has a scale of its own, made for the later epochs.",
    )


def _draw_panel(axes: Axes, one: Reproduced) -> None:
    mean, low, high = stats.curve_interval(one.variant.curves("test/accuracy"))
    curve, last = one.published.curve, one.published.last
    axes.plot(one.variant.epochs, mean, color=COLOURS[0], linewidth=2.2, label="ours")
    axes.fill_between(one.variant.epochs, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    if curve:
        axes.plot(range(1, len(curve) + 1), curve, color="black", linewidth=0.8, label="published")
    elif last is not None:
        epoch = one.published.config.epochs
        axes.plot([epoch], [last], "x", color="black", markersize=6, label="published")
    axes.set_ylim(limits([line.get_ydata() for line in axes.lines], [low[-1], high[-1]]))
    axes.set_title(drawing.wrap(f"{one.variant.label}, n = {one.last.n}"), fontsize=9)
    axes.set_xlabel("epoch")
    drawing.set_integer_ticks(axes)


def _rows(one: Reproduced) -> list[list[Any]]:
    """A row for each epoch that either has."""
    published, last = one.published, one.published.last
    theirs = dict(enumerate(published.curve, 1))
    if not theirs and last is not None:
        theirs = dict.fromkeys(range(1, published.config.epochs), math.nan)
        theirs[published.config.epochs] = last
    curves = stats.curve_interval(one.variant.curves("test/accuracy"))
    ours = dict(zip(one.variant.epochs, zip(*curves)))
    missing = (math.nan,) * 3
    return [
        [
            published.study, published.variant, one.variant.label, epoch,
            theirs.get(epoch, math.nan), one.last.n, *ours.get(epoch, missing),
        ]
        for epoch in sorted(theirs.keys() | ours.keys())
    ]  # fmt: skip
