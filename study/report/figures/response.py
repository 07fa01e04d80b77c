"""How the metric that ranks the variants responds to one setting.

A configuration counts by its mean over seeds at the last epoch.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.config import Config
from study.labels import label
from study.report import stats
from study.report.axis import Axis
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import ACCURACY, perfect_value, point_limits
from study.report.figures.styles import Style
from study.report.study import Study
from study.report.variants import Variant
from study.runs import FINISHED, STOPPED, Run

REDUCTION = "l1_reduction"
SEVERAL = 3  # values from which a response is drawn
MOST_KINDS = 6  # that have a colour each
MOST_LINES = 12
MOST_VALUES = 8  # triangles beyond the axis that have their values beside them
TICK_GAP = 0.05  # of the axis, between two ticks
CROSSES = " Crosses: runs stopped early, at their last epoch; at the edge, those beyond the axis."
MIXED = " Points of one colour may differ in the others, too."


class Point(NamedTuple):
    """A configuration: its position on a setting's axis, and its value of the metric."""

    variant: Variant
    x: float
    score: stats.Interval


def name(axis: Axis) -> str:
    """The name of the figure of a setting."""
    return f"response_{axis.name}"


def draw(folder: Path, study: Study, axis: Axis, varied: Sequence[Axis]) -> SavedFigure | None:
    """Draw the metric against a setting; None below three values.

    A point is a configuration. Those of one colour and marker are alike in all other settings,
    where these are few kinds; lines join those that differ in this setting alone, where these are
    few.
    """
    points, stopped = points_on(study, axis), stopped_on(study, axis)
    if len({point.x for point in points}) < SEVERAL:
        return None
    others = [other.name for other in varied if other != axis]
    families = by_family(points, axis, others)
    lines = joined(families, others)
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.NARROW)
        axes = figure.subplots()
        within = set_limits(
            axes, [(point.x, point.score) for point in points], perfect_value(study.metric)
        )
        inside = {points[i].variant.label for i in within}
        for i, (family, members) in enumerate(families.items()):
            look = styles.nth(i)
            draw_lines(axes, lines[family], look)
            shown = [point for point in members if point.variant.label in inside]
            scores = [point.score for point in shown]
            drawing.draw_points(axes, [point.x for point in shown], scores, look, family)
        draw_crosses(axes, [stopped_at(study, axis, run) for run in stopped])
        draw_ticks(axes, axis)
        axes.set(xlabel=axis.title, ylabel=study.chosen_by)
        if len(families) > 1 or stopped:
            drawing.draw_legend(figure)
        for point in points:
            if point.variant.label in inside:
                drawing.draw_beyond(axes, point.x, point.score[1:3], "0.3")
        header = ["label", axis.name, "state", "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, name(axis), header, _rows(study, axis, points, stopped))
    return SavedFigure(
        name(axis),
        f"Response to {axis.title}",
        f"A point is a configuration: the mean {study.chosen_by} over its seeds, with the 95 % t"
        f" interval where there are several.{describe_lines(axis, lines)}"
        f"{'' if _are_alike(families, others) else MIXED} Triangles: beyond the axis, with their"
        " values." + (CROSSES if stopped else ""),
        axes.get_ylim(),
    )


def points_on(study: Study, axis: Axis) -> list[Point]:
    """The configurations in which a setting has an effect."""
    return [
        Point(
            variant,
            axis.position(getattr(variant.config, axis.name)),
            variant.last(study.rank_key),
        )
        for variant in study.variants
        if variant.config.has_effect(axis.name)
    ]


def stopped_on(study: Study, axis: Axis) -> list[Run]:
    """The runs in which a setting has an effect and that were stopped early."""
    return [
        run
        for run in study.all
        if run.state == STOPPED and study.rank_key in run.summary
        if run.config.has_effect(axis.name)
    ]


def stopped_at(study: Study, axis: Axis, run: Run) -> tuple[float, float]:
    """The position and the metric of a run that was stopped early."""
    return axis.position(getattr(run.config, axis.name)), run.summary[study.rank_key]


def by_family(points: Sequence[Point], axis: Axis, others: Sequence[str]) -> dict[str, list[Point]]:
    """The points by what their colour stands for: all other settings, where these make few kinds,
    else the norm; and how L1 is reduced beside L1."""
    varying = {name for name in others if len({_effective(p, name) for p in points}) > 1}
    kinds = _by_kind(points, axis.name, varying)
    if len(kinds) <= MOST_KINDS:
        return kinds
    few = {"norm", REDUCTION} if axis.name == "l1" else {"norm"}
    return _by_kind(points, axis.name, varying & few)


def _by_kind(points: Sequence[Point], setting: str, varying: set[str]) -> dict[str, list[Point]]:
    kinds: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        kinds[_kind(point.variant.config, setting, varying)].append(point)
    return kinds


def _kind(config: Config, setting: str, varying: set[str]) -> str:
    """The words for the settings that vary beside the one on the axis."""
    if setting != "l1":
        return label(config, varying)
    words = label(config, varying - {REDUCTION})
    return f"{words}, {config.l1_reduction}" if REDUCTION in varying else words


def _effective(point: Point, name: str) -> Any:
    """A setting of a configuration; None where it has no effect."""
    config = point.variant.config
    return getattr(config, name) if config.has_effect(name) else None


def _are_alike(families: Mapping[str, Sequence[Point]], others: Sequence[str]) -> bool:
    """Whether the points of each family have all other settings in common."""
    return all(
        len({tuple(getattr(point.variant.config, name) for name in others) for point in members})
        == 1
        for members in families.values()
    )


def joined(
    families: Mapping[str, Sequence[Point]], others: Sequence[str]
) -> dict[str, list[list[Point]]]:
    """Each family's lines, through its points that agree in the other settings and the sweep; none
    at all where a family has too many."""
    lines = {family: _lines(points, others) for family, points in families.items()}
    if max(map(len, lines.values()), default=0) > MOST_LINES:
        return {family: [] for family in families}
    return lines


def _lines(points: Sequence[Point], others: Sequence[str]) -> list[list[Point]]:
    groups: dict[tuple, list[Point]] = defaultdict(list)
    for point in points:
        variant = point.variant
        key = variant.sweep, *(getattr(variant.config, setting) for setting in others)
        groups[key].append(point)
    lines = [line for line in groups.values() if len(line) > 1]
    return [sorted(line, key=lambda point: point.x) for line in lines]


def describe_lines(axis: Axis, lines: Mapping[str, Sequence[Any]]) -> str:
    """What a caption says of the lines; nothing where none is drawn."""
    return f" Lines join those that differ in {axis.title} alone." if any(lines.values()) else ""


def draw_lines(axes: Axes, lines: Sequence[Sequence[Point]], look: Style) -> None:
    """Draw a family's lines."""
    for line in lines:
        x, y = [point.x for point in line], [point.score.mean for point in line]
        axes.plot(x, y, linewidth=1, alpha=0.6, **look.line)


def draw_crosses(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Mark the runs that were stopped early, at their last epoch, those beyond the axes' limits at
    the edge."""
    if points:
        x, y = zip(*points)
        axes.plot(
            x, np.clip(y, *axes.get_ylim()), "x", color="0.6", markersize=5, label="stopped early",
            clip_on=False, zorder=1,
        )  # fmt: skip


def set_limits(
    axes: Axes,
    points: Sequence[tuple[float, stats.Interval]],
    perfect: float = ACCURACY,
    values: bool = True,
) -> list[int]:
    """Set the limits to the contenders, whose indices are returned.

    The points far from the `perfect` value become triangles at the edge, with their `values`.
    """
    inside, (low, high) = point_limits([score for _, score in points], perfect)
    axes.set_ylim(low, high)
    edge, up, marker, side = (low, 1, "^", "bottom") if perfect else (high, -1, "v", "top")
    beyond = [(x, score.mean) for i, (x, score) in enumerate(points) if i not in inside]
    for i, (x, mean) in enumerate(beyond):
        axes.plot(x, edge, marker, color="0.3", markersize=5, clip_on=False, zorder=4)
        if values and len(beyond) <= MOST_VALUES:
            axes.annotate(
                f"{mean:.{1 if perfect else 2}f}", (x, edge), (0, up * (6 + 9 * (i % 2))),
                textcoords="offset points", fontsize=7, ha="center", va=side,
            )  # fmt: skip
    return inside


def ticks(axis: Axis) -> list[tuple[float, str]]:
    """The setting's ticks, without those too close to the one before."""
    kept: list[tuple[float, str]] = []
    for x, words in axis.ticks():
        if not kept or axis.fraction(x) - axis.fraction(kept[-1][0]) > TICK_GAP:
            kept.append((x, words))
    return kept


def gap(axis: Axis) -> float | None:
    """Where a log axis is broken, between 0 and its least value; None where it is not."""
    if not (axis.log and 0 in axis.values):
        return None
    return (axis.zero + axis.position(min(value for value in axis.values if value > 0))) / 2


def draw_ticks(axes: Axes, axis: Axis) -> None:
    """Draw the setting's ticks, and the gap between 0 and a log axis."""
    positions, labels = zip(*ticks(axis))
    axes.set_xticks(positions, labels)
    if len("".join(labels)) > 45:
        axes.tick_params(axis="x", rotation=35)
    if (x := gap(axis)) is not None:
        axes.axvline(x, color="0.5", linestyle=":", linewidth=1)


def _rows(
    study: Study, axis: Axis, points: Sequence[Point], stopped: Sequence[Run]
) -> list[list[Any]]:
    rows = []
    for variant, _, score in points:
        setting = getattr(variant.config, axis.name)
        rows.append([variant.label, setting, FINISHED, score.n, *score[:3]])
    for run in stopped:
        setting, value = getattr(run.config, axis.name), run.summary[study.rank_key]
        rows.append([run.path.name, setting, STOPPED, 1, value, "", ""])
    return rows
