"""All variants' curves of a metric in one graph: a picture here, and live on the page."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from study.metrics import Metric
from study.report import stats
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure, SideLabel
from study.report.figures.limits import contenders, curve_limits, perfect_value
from study.report.figures.styles import Style
from study.report.study import Study
from study.report.variants import Variant
from study.report.words import in_cell

HEADER = ("label", "seeds", "epoch", "mean", "low", "high")
CHOSEN = {"test": ", chosen on the test set", "val": ", chosen on the validation images"}
WHILE_TRAINING = (
    " Training figures are means over an epoch while the weights move, with dropout and"
    " augmentation."
)


@dataclass(frozen=True)
class Curve:
    """A variant's curve: of its seeds [seeds, epochs], their mean and its 95 % interval.

    best: the index of the best epoch of the mean.
    """

    variant: Variant
    look: Style
    seeds: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: int

    @property
    def epochs(self) -> list[int]:
        return self.variant.epochs

    @property
    def half_widths(self) -> np.ndarray:
        """Half the interval at each epoch, [epochs]; NaN where the seeds are all alike."""
        halves = (self.high - self.low) / 2
        return np.where(halves > stats.ROUNDING, halves, np.nan)


@dataclass(frozen=True)
class Graph:
    """What the graph of a metric shows, as a picture and live.

    window: the limits of its vertical axis; bands: whether intervals are drawn as bands, which
    must leave room to see the lines, else thin lines of the seeds; target: a line's height.
    """

    metric: Metric
    curves: list[Curve]
    hidden: list[Variant]
    window: tuple[float, float]
    bands: bool
    target: float | None

    def format_last(self, curve: Curve) -> str:
        """The mean at the last epoch and half its interval, where it has one."""
        return in_cell(stats.mean_interval(curve.seeds[:, -1]), self.metric)

    def ends(self, curve: Curve) -> list[float]:
        """What is drawn at a curve's last epoch: its mean, and its interval or its seeds."""
        around = [curve.low[-1], curve.high[-1]] if self.bands else curve.seeds[:, -1].tolist()
        return [float(value) for value in (curve.mean[-1], *around)]

    @property
    def caption(self) -> str:
        """What its lines and marks mean."""
        part = self.metric.part
        several = any(len(curve.seeds) > 1 for curve in self.curves)
        words = ["Lines: mean over seeds."] if several else []
        if self.bands and several:
            words.append("Bands: 95 % t interval of the mean (none at one seed).")
        elif several:
            words.append(
                "Thin lines: seeds, since bands of the 95 % intervals would fill the graph; the"
                " labels have the interval at the last epoch."
            )
        if len(self.curves[0].epochs) > 1:
            words.append(
                f"Star: best epoch of the mean line{CHOSEN.get(part, '')}. The first epochs may"
                " leave the axes, which show the later ones."
            )
        words.append("Triangles: beyond the axis at the last epoch.")
        if self.hidden:
            words.append(f"In grey: all but the best {len(self.curves)}.")
        return " ".join(words) + (WHILE_TRAINING if part == "train" else "")


def name(metric: str) -> str:
    """The name of the figure of a metric."""
    return metric.replace("/", "_")


def graph(study: Study, name: str, target: float | None = None) -> Graph | None:
    """The graph of a metric, by its name; None where pulled runs lack it.

    Of many variants only the best have curves of their own. `target`: a test accuracy.
    """
    metric = Metric.named(name)
    curves = [_curve(study, variant, metric) for variant in study.shown]
    if not any(np.isfinite(curve.mean[-1:]).any() for curve in curves):
        return None
    perfect = perfect_value(metric)
    best = [curves[i] for i in contenders([curve.mean[-1] for curve in curves], perfect)]
    peaks = [curve.mean[curve.best] for curve in best]
    window, bands = curve_limits([curve.seeds for curve in best], perfect, peaks)
    if name != "test/accuracy":
        target = None
    if target is not None:
        margin = 0.05 * (window[1] - window[0])
        window = min(window[0], target - margin), max(window[1], target + margin)
    hidden = [variant for variant in study.variants if variant not in study.shown]
    return Graph(metric, curves, hidden, window, bands, target)


def draw(
    folder: Path, study: Study, metric: str, target: float | None = None
) -> SavedFigure | None:
    """Draw the curves of a metric, each with its last value and best epoch; None where pulled runs
    lack it. `target` draws a line at a test accuracy."""
    drawn = graph(study, metric, target)
    if drawn is None:
        return None
    with matplotlib.rc_context(drawing.STYLE):
        width, height = drawing.WIDE["figsize"]
        labels = _labels(drawn)
        rows = sum(label.text.count("\n") + 1 for label in labels)
        size = (width, max(height, 1 + 0.16 * rows))
        figure = Figure(**drawing.WIDE | {"figsize": size})
        axes = figure.subplots()
        lines = [np.column_stack([v.epochs, v.curves(metric).mean(axis=0)]) for v in drawn.hidden]
        grey = styles.GREY.colour
        axes.add_collection(LineCollection(lines, colors=grey, linewidths=0.6, zorder=0))
        axes.set_ylim(drawn.window)
        for curve in drawn.curves:
            _draw_curve(axes, drawn, curve)
        if drawn.target is not None:
            _draw_target(axes, drawn.target)
        axes.set(xlabel="epoch", ylabel=drawn.metric.axis_title())
        drawing.set_integer_ticks(axes)
        drawing.draw_side_labels(axes, labels)
        cells = [row for variant in study.variants for row in _rows(variant, metric)]
        drawing.save(figure, folder, name(metric), HEADER, cells)
    title = drawn.metric.title
    heading = f"{title[0].upper()}{title[1:]} by epoch"
    return SavedFigure(name(metric), heading, drawn.caption, drawn.window)


def _curve(study: Study, variant: Variant, metric: Metric) -> Curve:
    seeds = variant.curves(metric.name)
    mean, low, high = stats.curve_interval(seeds)
    best = int(mean.argmax() if metric.maximize else mean.argmin())
    return Curve(variant, styles.of(study, variant), seeds, mean, low, high, best)


def _draw_curve(axes: Axes, graph: Graph, curve: Curve) -> None:
    """Draw a mean with its band or its seeds, its best epoch, and what leaves the axis."""
    epochs, look, colour = curve.epochs, curve.look, curve.look.colour
    every = drawing.marker_step(epochs)
    axes.plot(
        epochs, curve.mean, linewidth=1.5, marker=look.marker, markersize=3.5, markevery=every,
        **look.line,
    )  # fmt: skip
    if graph.bands:
        opacity = drawing.band_opacity(len(graph.curves))
        axes.fill_between(epochs, curve.low, curve.high, color=colour, alpha=opacity, linewidth=0)
    elif len(curve.seeds) > 1:
        axes.plot(epochs, curve.seeds.T, color=colour, linewidth=0.5, alpha=0.5)
        if len(epochs) == 1:
            axes.plot(epochs, curve.seeds.T, ".", color=colour, markersize=4, alpha=0.5)
    if len(epochs) > 1:
        axes.plot(epochs[curve.best], curve.mean[curve.best], "*", color=colour, markersize=9)
    drawing.draw_beyond(axes, epochs[-1], graph.ends(curve), colour)


def _labels(graph: Graph) -> list[SideLabel]:
    """Labels of all curves: the last value, its interval, and the best epoch."""
    few = len(graph.curves) <= drawing.FEW_LABELS
    between, width = ("\n", drawing.WRAP) if few else (": ", 60)
    labels = []
    for curve in graph.curves:
        if not np.isfinite(curve.mean[-1]):
            continue
        text = f"{curve.variant.label}{between}last {graph.format_last(curve)}"
        if len(curve.epochs) > 1:
            best = graph.metric.format(curve.mean[curve.best])
            text += f", best {best} at {curve.epochs[curve.best]}"
        text = drawing.wrap(text, width)
        labels.append(SideLabel(text, curve.look.colour, None, curve.mean[-1]))
    return labels


def _draw_target(axes: Axes, target: float) -> None:
    axes.axhline(target, color="0.4", linestyle=":", linewidth=1)
    axes.annotate(
        f"target {target:g}",
        xy=(0, target),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8,
        color="0.3",
    )


def _rows(variant: Variant, metric: str) -> list[list[object]]:
    mean, low, high = stats.curve_interval(variant.curves(metric))
    points = zip(variant.epochs, mean, low, high)
    return [[variant.label, len(variant.runs), *point] for point in points]
