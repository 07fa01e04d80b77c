"""Parallel coordinates: a line a configuration, through its settings to what ranks it. A figure a
kind of variants, since kinds are not ranked by one another."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from study.labels import slug
from study.report.axis import Axis
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import Study
from study.report.text.search import SEVERAL
from study.report.variants import Variant

NAME = "parallel_coordinates"
NO_EFFECT = -0.12  # the height, below its axis, of a setting without effect
MANY = 50  # lines from which they are thin
STYLE = drawing.STYLE | {"axes.spines.left": False, "axes.grid": False}


def draw(folder: Path, study: Study, varied: Sequence[Axis]) -> list[SavedFigure]:
    """Draw the configurations of each kind that has several, and two settings that vary in it."""
    figures = []
    for family in study.families:
        own = [axis for axis in varied if _varies(axis, family)]
        if len(family) >= SEVERAL and len(own) > 1:
            figures.append(_draw_kind(folder, study, family, own))
    return figures


def _varies(axis: Axis, family: Sequence[Variant]) -> bool:
    return len({getattr(variant.config, axis.name) for variant in family}) > 1


def _draw_kind(
    folder: Path, study: Study, family: Sequence[Variant], varied: Sequence[Axis]
) -> SavedFigure:
    """Draw the configurations of a kind, given the best first; the best is in front."""
    worst_first = family[::-1]
    kind = study.describe_kind(family[0])
    name = f"{NAME}_{slug(kind)}" if kind else NAME
    means = [variant.last(study.rank_key).mean for variant in worst_first]
    ranks = np.linspace(0, 1, len(means))
    heights = [[_height(axis, variant) for variant in worst_first] for axis in varied]
    lines = np.array([*heights, ranks]).T
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(7.2, 1.25 * len(lines[0])), 4.2), layout="constrained")
        axes = figure.subplots()
        _draw_lines(axes, lines, ranks)
        for x, axis in enumerate(varied):
            for position, label in axis.ticks():
                _draw_tick(axes, x, axis.fraction(position), label)
            if np.any(lines[:, x] == NO_EFFECT):
                _draw_tick(axes, x, NO_EFFECT, "no effect")
        for share in (0, 0.25, 0.5, 0.75, 1):
            quantile = float(np.quantile(means, share if study.metric.maximize else 1 - share))
            _draw_tick(axes, len(varied), share, study.metric.format(quantile))
        _draw_axes(axes, [*(axis.title for axis in varied), study.rank_key.replace("_", " ")])
        settings = [axis.name for axis in varied]
        rows = [
            [variant.label, *(getattr(variant.config, each) for each in settings), mean]
            for variant, mean in zip(worst_first, means)
        ][::-1]
        header = ["label", *settings, study.rank_key]
        drawing.save(figure, folder, name, header, rows)
    return SavedFigure(
        name,
        f"All configurations{f' with {kind}' if kind else ''} at once",
        "A line is a finished configuration, the darker the better; the last axis is its"
        f" {study.chosen_by}, by rank, so that the best are told apart."
        + (" Other networks or numbers of epochs are not ranked with these." if kind else ""),
        as_is=True,
    )


def _height(axis: Axis, variant: Variant) -> float:
    """0 to 1 on the axis; below it where the setting has no effect."""
    if not variant.config.has_effect(axis.name):
        return NO_EFFECT
    return axis.fraction(axis.position(getattr(variant.config, axis.name)))


def _draw_lines(axes: Axes, lines: np.ndarray, ranks: np.ndarray) -> None:
    """Draw lines [configurations, axes] by their ranks, 0 to 1: the last is the best."""
    colours = matplotlib.colormaps["viridis_r"](ranks)
    width = 1.2 if len(lines) <= MANY else 0.5
    paths = [list(enumerate(line)) for line in lines]
    axes.add_collection(LineCollection(paths, colors=colours, linewidths=width, alpha=0.8))
    axes.plot(lines[-1], color=styles.COLOURS[1], linewidth=2.2, label="the best")


def _draw_tick(axes: Axes, x: float, height: float, label: str) -> None:
    axes.annotate(
        label,
        (x, height),
        (3, 0),
        textcoords="offset points",
        fontsize=7,
        va="center",
        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
    )


def _draw_axes(axes: Axes, titles: Sequence[str]) -> None:
    """Draw the vertical axes and their titles, and a legend."""
    for x in range(len(titles)):
        axes.axvline(x, color="0.6", linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(titles)), titles)
    axes.set(yticks=[], ylim=(NO_EFFECT - 0.05, 1.05), xlim=(-0.3, len(titles) - 0.6))
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.1))
