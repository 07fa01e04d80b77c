"""A variant's loss and accuracy in training against validation and test, and its learning rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report import stats
from study.report.axis import LOG_RATIO
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import ACCURACY, LOSS, limits
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
        "Training figures are means over an epoch while the weights move, with dropout and"
        " augmentation; test figures are of the weights at its end. Learning rate: of an epoch's"
        " last batch.",
    )


def _draw_metric(
    axes: Axes, variant: Variant, metric: str, parts: Sequence[str]
) -> list[list[Any]]:
    """Draw a metric of each part of the data; return the rows of the csv."""
    rows: list[list[Any]] = []
    means, bounds = [], []
    for part, colour in zip(parts, styles.COLOURS):
        mean, low, high = stats.curve_interval(variant.curves(f"{part}/{metric}"))
        axes.plot(variant.epochs, mean, color=colour, label=part)
        axes.fill_between(variant.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        rows += [[part, metric, *point] for point in zip(variant.epochs, mean, low, high)]
        means.append(mean)
        bounds += [low[-1], high[-1]]
    accuracy = metric == "accuracy"
    axes.set_ylim(limits(means, bounds, ACCURACY if accuracy else LOSS))
    axes.set(xlabel="epoch", ylabel=f"{metric}{' (%)' if accuracy else ''}")
    drawing.set_integer_ticks(axes)
    axes.legend(frameon=False)
    return rows


def _draw_learning_rate(axes: Axes, variant: Variant) -> list[list[Any]]:
    """Draw the learning rate, the same for all seeds, where the runs have it; return the rows."""
    rates = variant.curves("lr")[0]
    known = rates[np.isfinite(rates)]
    axes.plot(variant.epochs, rates, ".-", color="0.3", linewidth=1)
    if len(known) and known.max() > LOG_RATIO * known.min() > 0:
        axes.set_yscale("log")
    elif len(known):
        axes.set_ylim(0, 1.1 * known.max() or 1)
    axes.set(xlabel="epoch", ylabel="learning rate")
    drawing.set_integer_ticks(axes)
    return [["train", "lr", epoch, *[rate] * 3] for epoch, rate in zip(variant.epochs, rates)]
