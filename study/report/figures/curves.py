"""All variants' curves of a metric in one graph."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from study.planned import metric_title
from study.report import stats
from study.report.figures import drawing
from study.report.figures.drawing import GREY, SavedFigure, SideLabel
from study.report.figures.limits import ACCURACY, LOSS, contenders, limits
from study.report.variants import Study, Variant

HEADER = ("label", "seeds", "epoch", "mean", "low", "high")
CHOSEN = {"test": ", chosen on the test set", "val": ", chosen on the validation images"}
WHILE_TRAINING = (
    " Training figures are means over an epoch while the weights move, with dropout and"
    " augmentation."
)


def name(metric: str) -> str:
    """The name of the figure of a metric."""
    return metric.replace("/", "_")


def draw(
    folder: Path, study: Study, metric: str, target: float | None = None
) -> SavedFigure | None:
    """Draw the curves of a metric such as test/loss, each with its last value and best epoch; None
    where pulled runs lack it.

    Of many variants only the best have a colour and a label, and the others are grey. `target`
    draws a line at a test accuracy.
    """
    if not any(np.isfinite(v.curves(metric)).all(axis=0)[-1:].any() for v in study.shown):
        return None
    accuracy = metric.endswith("accuracy")
    part, title = metric.partition("/")[0], metric_title(metric)
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        hidden = [variant for variant in study.variants if variant not in study.shown]
        lines = [np.column_stack([v.epochs, v.curves(metric).mean(axis=0)]) for v in hidden]
        axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6, zorder=0))
        means = [_draw_curve(axes, study, variant, metric) for variant in study.shown]
        perfect = ACCURACY if accuracy else LOSS
        best = contenders([mean[-1] for mean in means], perfect)
        peaks = [_best(means[i], metric) for i in best]
        low, high = limits([means[i] for i in best], peaks, perfect)
        axes.set_ylim(low, high)
        if target is not None and metric == "test/accuracy":
            _draw_target(axes, target)
        axes.set(xlabel="epoch", ylabel=f"{title}{' (%)' if accuracy else ''}")
        drawing.set_integer_ticks(axes)
        _draw_labels(axes, study, means, metric)
        rows = [row for variant in study.variants for row in _rows(variant, metric)]
        drawing.save(figure, folder, name(metric), HEADER, rows)
    return SavedFigure(
        name(metric),
        f"{title[0].upper()}{title[1:]} by epoch",
        "Lines: mean over seeds. Bands: 95 % t interval of the mean (none at one seed)."
        f" Star: best epoch of the mean line{CHOSEN.get(part, '')}. The first epochs may leave the"
        f" axes, which show the later ones.{WHILE_TRAINING if part == 'train' else ''}"
        + (f" In grey: all but the best {len(study.shown)}." if study.hidden else ""),
        axes.get_ylim(),
    )


def _draw_curve(axes: Axes, study: Study, variant: Variant, metric: str) -> np.ndarray:
    """Draw a variant's mean with its band and its best epoch; return the mean."""
    mean, low, high = stats.curve_interval(variant.curves(metric))
    colour, dashes = drawing.line_style(study.shown.index(variant))
    opacity = drawing.band_opacity(len(study.shown))
    axes.plot(variant.epochs, mean, color=colour, linestyle=dashes, linewidth=1.5)
    axes.fill_between(variant.epochs, low, high, color=colour, alpha=opacity, linewidth=0)
    best = _best_index(mean, metric)
    axes.plot(variant.epochs[best], mean[best], "*", color=colour, markersize=9)
    return mean


def _best_index(mean: np.ndarray, metric: str) -> int:
    return int(mean.argmax() if metric.endswith("accuracy") else mean.argmin())


def _best(mean: np.ndarray, metric: str) -> float:
    return mean[_best_index(mean, metric)]


def _draw_labels(axes: Axes, study: Study, means: Sequence[np.ndarray], metric: str) -> None:
    """Label the curves that end inside the axes, and name those that end outside in the title."""
    digits = 2 if metric.endswith("accuracy") else 4
    low, high = axes.get_ylim()
    labels, outside = [], []
    for variant, mean in zip(study.shown, means):
        if not low <= mean[-1] <= high:
            outside.append(f"{variant.label} ({mean[-1]:.{digits}f})")
            continue
        score = stats.mean_interval(variant.curves(metric)[:, -1])
        half = f" ± {score.half_width:.{digits}f}" if np.isfinite(score.half_width) else ""
        best = _best_index(mean, metric)
        text = (
            f"{variant.label}\nlast {mean[-1]:.{digits}f}{half},"
            f" best {mean[best]:.{digits}f} at {variant.epochs[best]}"
        )
        labels.append(SideLabel(text, drawing.colour(study, variant), None, mean[-1]))
    drawing.draw_side_labels(axes, labels)
    if outside:
        title = f"outside the axis at the end: {', '.join(outside)}"
        axes.set_title(title, fontsize=8, loc="left", wrap=True)


def _draw_target(axes: Axes, target: float) -> None:
    low, high = axes.get_ylim()
    margin = 0.05 * (high - low)
    axes.set_ylim(min(low, target - margin), max(high, target + margin))
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
