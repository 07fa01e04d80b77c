"""What each setting of a complete grid does: a panel a setting, then those of two together."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from study.report.effects import Effect, Effects
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import Study
from study.report.words import format_p

NAME = "effects"
MOST_TOGETHER = 3  # panels of two settings together, those of the least p
COLUMNS, WIDTH, HEIGHT, PAD = 3, 3.2, 2.9, 0.12  # panels in a row; inches of one, and around it
LONG = 24  # letters of all levels, each as wide as the longest, from which they stand aslant
HEADER = ("setting", "level", "with", "mean", "low", "high", "p")


def draw(folder: Path, study: Study, found: Effects | None) -> SavedFigure | None:
    """Draw the effects of a study's grid; None where there is none."""
    if found is None:
        return None
    alone = [effect for effect in found.effects if len(effect.factors) == 1]
    together = sorted(
        (effect for effect in found.effects if len(effect.factors) == 2),
        key=lambda effect: np.nan_to_num(effect.p, nan=1),
    )[:MOST_TOGETHER]
    panels = [*alone, *together]
    rows, columns = math.ceil(len(panels) / COLUMNS), min(COLUMNS, len(panels))
    with matplotlib.rc_context(drawing.STYLE):
        layout = ConstrainedLayoutEngine(h_pad=PAD)
        figure = Figure(figsize=(columns * WIDTH, rows * HEIGHT), layout=layout)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, effect in zip(grid.flat, panels):
            (_draw_alone if len(effect.factors) == 1 else _draw_together)(axes, found, effect)
        for row in grid:
            row[0].set_ylabel(study.metric.axis_title())
        drawing.save(figure, folder, NAME, HEADER, _rows(found))
    return SavedFigure(
        NAME,
        "What each setting does",
        f"The mean {study.chosen_by} over all variants that have a setting's value, whatever the"
        f" others are, and over {found.over}. Bars: the 95 % interval of its difference from the"
        " mean of all, the dashed line; one that leaves the line is a difference, before any"
        " correction. Lines that are not parallel: two settings that change each other's effect. p"
        " is corrected for all effects.",
    )


def _draw_alone(axes: Axes, found: Effects, effect: Effect) -> None:
    [index] = effect.factors
    levels = range(len(effect.means))
    scores = [found.interval(effect, level) for level in levels]
    axes.axhline(found.mean, color="0.5", linestyle="--", linewidth=0.8)
    axes.plot(levels, effect.means, color=styles.COLOURS[0], linewidth=0.8, alpha=0.6)
    drawing.draw_points(axes, list(levels), scores, styles.nth(0))
    _name_levels(axes, found.factors[index].levels)
    axes.set(xlabel=found.factors[index].title)
    axes.set_title(format_p(effect.p), fontsize=8, loc="left")


def _draw_together(axes: Axes, found: Effects, effect: Effect) -> None:
    across, lines = (found.factors[index] for index in effect.factors)
    for i, level in enumerate(lines.levels):
        look = styles.nth(i)
        axes.plot(
            effect.means[:, i], marker=look.marker, markersize=4, linewidth=1, label=level,
            **look.line,
        )  # fmt: skip
    _name_levels(axes, across.levels)
    axes.set(xlabel=across.title)
    axes.set_title(format_p(effect.p), fontsize=8, loc="left")
    axes.legend(
        title=lines.title, frameon=False, fontsize=7, title_fontsize=7, loc="upper left",
        bbox_to_anchor=(1, 1),
    )  # fmt: skip


def _name_levels(axes: Axes, levels: Sequence[str]) -> None:
    """Name the levels below the axes, aslant where they are long."""
    aslant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    long = max(map(len, levels)) * len(levels) > LONG
    axes.set_xticks(range(len(levels)), levels, fontsize=8, **(aslant if long else {}))
    axes.set_xlim(-0.5, len(levels) - 0.5)


def _rows(found: Effects) -> list[list[Any]]:
    """A row a level, and a row two levels together."""
    rows: list[list[Any]] = []
    for effect in found.effects:
        one, *two = (found.factors[index] for index in effect.factors)
        for place, mean in np.ndenumerate(effect.means):
            if two:
                level, beside = one.levels[place[0]], f"{two[0].title} {two[0].levels[place[1]]}"
                rows.append([found.title(effect), level, beside, float(mean), "", "", effect.p])
            else:
                score = found.interval(effect, place[0])
                rows.append([one.title, one.levels[place[0]], "", *score[:3], effect.p])
    return rows
