"""A variant's loss and accuracy in training against validation and test, and its learning rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.metrics import Metric
from study.report import stats
from study.report.axis import LOG_RATIO
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import curve_limits, perfect_value
from study.report.variants import Variant

HEADER = ("part", "metric", "epoch", "mean", "low", "high")


def draw(folder: Path, variant: Variant) -> SavedFigure:
    """Draw the three graphs side by side."""
    logged = variant.runs[0].history[-1]
    parts = [part for part in ("train", "val", "test") if f"{part}/loss" in logged]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 3.2), layout="constrained")
        loss, accuracy, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
        rows = _draw_metric(loss, variant, "loss", parts)
        rows += _draw_metric(accuracy, variant, "accuracy", parts)
        rows += _draw_learning_rate(rate, variant)
        name = f"train_test_{variant.file}"
        drawing.save(figure, folder, name, HEADER, rows)
    return SavedFigure(
        name,
        f"{variant.label}: training against test",
        "Bands: 95 % intervals, or thin lines of the seeds where bands would fill the graph."
        " Training figures are means over an epoch while the weights move, with dropout and"
        " augmentation; test figures are of the weights at its end. Learning rate: of an epoch's"
        " last batch.",
    )


def _draw_metric(
    axes: Axes, variant: Variant, metric: str, parts: Sequence[str]
) -> list[list[Any]]:
    """Draw a metric of each part of the data; return the rows of the csv."""
    epochs, perfect = variant.epochs, perfect_value(Metric.named(f"test/{metric}"))
    seeds = {part: variant.curves(f"{part}/{metric}") for part in parts}
    curves = {part: stats.curve_interval(each) for part, each in seeds.items()}
    window, bands = curve_limits([*seeds.values()], perfect)
    rows: list[list[Any]] = []
    for i, (part, (mean, low, high)) in enumerate(curves.items()):
        colour, marker = styles.COLOURS[i], styles.MARKERS[i]
        axes.plot(
            epochs, mean, color=colour, marker=marker, markersize=3,
            markevery=drawing.marker_step(epochs), label=part,
        )  # fmt: skip
        if bands:
            axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            axes.plot(epochs, seeds[part].T, color=colour, linewidth=0.5, alpha=0.5)
        rows += [[part, metric, *point] for point in zip(epochs, mean, low, high)]
    axes.set_ylim(window)
    axes.set(xlabel="epoch", ylabel=f"{metric} (%)" if metric == "accuracy" else metric)
    drawing.set_integer_ticks(axes)
    axes.legend(
        frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(parts),
        columnspacing=1,
    )  # fmt: skip
    return rows


def _draw_learning_rate(axes: Axes, variant: Variant) -> list[list[Any]]:
    """Draw the learning rate, the same for all seeds, where the runs have it; return the rows."""
    rates = variant.curves("lr")[0]
    known = rates[np.isfinite(rates)]
    axes.plot(variant.epochs, rates, ".-", color="0.3", linewidth=1)
    if len(known) and known.max() > LOG_RATIO * known.min() > 0:
        drawing.set_logarithmic(axes, "y")
    elif len(known):
        axes.set_ylim(0, 1.1 * known.max() or 1)
    axes.set(xlabel="epoch", ylabel="learning rate")
    drawing.set_integer_ticks(axes)
    return [["train", "lr", epoch, *[rate] * 3] for epoch, rate in zip(variant.epochs, rates)]
