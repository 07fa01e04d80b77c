"""The variants one below the other, the best on top: the metric that ranks them, at the last
epoch. A picture here; the page lays out the same `Forest` by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.report import stats
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import MARGIN, perfect_value, point_limits
from study.report.figures.styles import Style
from study.report.stats import Interval
from study.report.study import SHOWN, Study
from study.report.variants import TEST, Variant
from study.report.words import in_words

MOST_ROWS = 30
MOST_TICKS = 6
EDGE = 0.05  # share of an axis within which words stand inwards of their tick
TWO_SEEDS = (
    " Two seeds say little of how seeds vary: half their interval is"
    f" {stats.t_quantile(1) / 2:.1f} times the difference between the two, so that it may leave the"
    " axis, which is made for the values."
)
BESIDE: dict[str, Any] = {  # words right of an axis
    "xycoords": ("axes fraction", "data"), "fontsize": 8, "annotation_clip": False,
}  # fmt: skip
HEADER = ("label", "parameters", "seeds", "mean", "low", "high", "seed")


@dataclass(frozen=True)
class Row:
    """A variant: its number in the study's order, its mean and interval, and its seeds' values."""

    number: int
    variant: Variant
    look: Style
    score: Interval
    seeds: list[float]
    words: str
    test: str
    parameters: int

    @property
    def has_interval(self) -> bool:
        """Whether its seeds are several that vary."""
        return bool(np.isfinite(self.score.half_width))

    @property
    def has_look(self) -> bool:
        """Whether it looks unlike all others."""
        return self.look != styles.GREY


@dataclass(frozen=True)
class Panel:
    """The variants of a kind, which are ranked by one another: rows, the best on top, on an axis
    from `low` to `high`. kind: what sets it apart, empty where there is one."""

    kind: str
    rows: list[Row]
    low: float
    high: float

    @property
    def ticks(self) -> list[float]:
        """Round values on the axis."""
        values = MaxNLocator(MOST_TICKS, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(value) for value in values if self.low <= value <= self.high]

    def place(self, value: float) -> str:
        """Where a value lies on the axis: from 0% to 100%, which are its edges."""
        return f"{100 * min(max(self._share(value), 0), 1):.2f}%"

    def anchor(self, value: float) -> str:
        """Where the words at a value begin, so that they keep within the axis."""
        share = self._share(value)
        return "start" if share < EDGE else "end" if share > 1 - EDGE else "middle"

    def _share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def beyond(self, row: Row) -> tuple[bool, bool]:
        """Whether anything of a row leaves the axis to the left, and to the right."""
        ends = [end for end in (*row.score[:3], *row.seeds) if np.isfinite(end)]
        return min(ends) < self.low, max(ends) > self.high


@dataclass(frozen=True)
class Forest:
    """What the forest plot shows: a panel for each kind of variants.

    cut: how many variants it leaves out, since they are too many or lack the metric.
    """

    title: str
    panels: list[Panel]
    cut: int
    by_test: bool  # whether the metric is the test accuracy itself

    @property
    def rows(self) -> list[Row]:
        return [row for panel in self.panels for row in panel.rows]

    @property
    def one_size(self) -> bool:
        """Whether all variants have as many parameters."""
        return len({row.parameters for row in self.rows}) == 1


def forest(study: Study) -> Forest:
    """The best variants, each kind on an axis made for those that come close to its best."""
    rest = [variant for variant in study.ranked if variant not in study.shown]
    best = {*study.shown, *rest[: MOST_ROWS - SHOWN]}
    families = [
        [each for each in family if each in best and each.values(study.rank_key)]
        for family in study.families
    ]
    panels = [_panel(study, family) for family in families if family]
    cut = len(study.variants) - sum(len(panel.rows) for panel in panels)
    return Forest(study.chosen_by, panels, cut, study.rank_key == TEST)


def _panel(study: Study, family: Sequence[Variant]) -> Panel:
    rows = [_row(study, variant) for variant in family]
    close, (low, high) = point_limits([row.score for row in rows], perfect_value(study.metric))
    low, high = _with_seeds(low, high, [seed for i in close for seed in rows[i].seeds])
    return Panel(study.describe_kind(family[0]), rows, low, high)


def _with_seeds(low: float, high: float, seeds: Sequence[float]) -> tuple[float, float]:
    """Widen an axis to the seeds beyond it, but for those that are further from it than it is
    long, beside which the intervals could not be told apart."""
    width = high - low
    room = MARGIN * width
    near = [seed for seed in seeds if low - width <= seed <= high + width]
    return min([low, *(seed - room for seed in near)]), max([high, *(seed + room for seed in near)])


def draw(folder: Path, study: Study) -> SavedFigure:
    """Draw each variant's seeds, mean and interval; beside them test accuracy and parameters."""
    drawn = forest(study)
    labels = [
        [drawing.wrap(row.variant.label) for row in panel.rows[::-1]] for panel in drawn.panels
    ]
    lines = max(label.count("\n") + 1 for group in labels for label in group)
    with matplotlib.rc_context(drawing.STYLE):
        heights = [0.3 * len(panel.rows) * max(1, lines / 2) for panel in drawn.panels]
        size = (drawing.WIDE["figsize"][0], 1 + sum(heights) + 0.5 * (len(heights) - 1))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
        for axes, panel, names in zip(panels, drawn.panels, labels):
            _draw_panel(axes, panel, names, drawn.one_size)
        panels[-1].set_xlabel(drawn.title)
        rows = [row for variant in study.order for row in _cells(study, variant)]
        header = [*HEADER, study.metric.name.replace("/", "_")]
        drawing.save(figure, folder, "final", header, rows)
    beside = "its mean" if drawn.by_test else "the test accuracy"
    two = TWO_SEEDS if any(row.score.n == 2 for row in drawn.rows) else ""
    cut = f" The best {MOST_ROWS} are shown." if len(study.variants) > MOST_ROWS else ""
    kinds = " Variants of another network or number of epochs are by themselves, on their own axis."
    return SavedFigure(
        "final",
        f"{study.metric.title.capitalize()} at the last epoch",
        "Large marks: means; bars: 95 % t interval of the mean (none at one seed); dots: seeds. The"
        f" {study.metric.superlative} on top; beside it {beside}. Triangles: beyond the axis.{two}"
        f"{kinds if len(drawn.panels) > 1 else ''}{cut}",
    )


def _row(study: Study, variant: Variant) -> Row:
    score = variant.last(study.rank_key)
    return Row(
        study.number(variant), variant, styles.of(study, variant), score,
        list(variant.values(study.rank_key).values()), in_words(score, study.metric),
        in_words(variant.last(TEST)), variant.parameters["total"],
    )  # fmt: skip


def _draw_panel(axes: Axes, panel: Panel, labels: Sequence[str], one_size: bool) -> None:
    """Draw the rows of a panel, whose labels are given from below; where all variants are of one
    size, without it."""
    axes.set_xlim(panel.low, panel.high)
    for y, row in enumerate(panel.rows[::-1]):
        _draw_row(axes, panel, row, y)
        size = "" if one_size else f"  {row.parameters:,} parameters"
        axes.annotate(f"{row.test}{size}", (1.02, y), va="center", **BESIDE)
    axes.annotate("test accuracy", (1.02, len(panel.rows) - 0.4), va="bottom", **BESIDE)
    axes.set_ylim(-0.6, len(panel.rows) - 0.4)
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(False, axis="y")
    axes.set_title(panel.kind, loc="left", fontsize=9)


def _draw_row(axes: Axes, drawn: Panel, row: Row, y: int) -> None:
    colour, score = row.look.colour, row.score
    axes.plot(row.seeds, [y] * len(row.seeds), "o", color=colour, markersize=3.5, alpha=0.45)
    axes.plot(score.mean, y, row.look.marker, color=colour, markersize=5.5)
    if row.has_interval:
        axes.plot([score.low, score.high], [y, y], color=colour, linewidth=1.6)
    for is_beyond, edge, marker in zip(drawn.beyond(row), (drawn.low, drawn.high), "<>"):
        if is_beyond:
            axes.plot(edge, y, marker, color=colour, markersize=6, clip_on=False)


def _cells(study: Study, variant: Variant) -> Sequence[list[Any]]:
    """The variant's rows of the csv, one a seed."""
    score = variant.last(study.rank_key)
    shared = [variant.label, variant.parameters["total"], score.n, *score[:3]]
    return [[*shared, seed, value] for seed, value in variant.values(study.rank_key).items()]
