"""The figures, one function each: png, pdf and the csv they were drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import runs
from study.config import slug
from study.report import drawing, stats
from study.report.drawing import Drawn
from study.report.variants import Variant

CONTENDER = 8  # a curve whose last error is over so many times the best one's may leave the axes


def comparison(
    folder: Path, variants: Sequence[Variant], metric: str, target: float | None = None
) -> Drawn:
    """All variants' curves of test/loss or test/accuracy in one graph, the last value and the best
    epoch of each mean curve annotated; `target` draws a line at an accuracy."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 4.8), layout="constrained")
        axes = figure.subplots()
        rows, labels = [], []
        for i, variant in enumerate(variants):
            mean, low, high = stats.curve_interval(variant.curves(metric))
            colour, dash = drawing.line(i)
            epochs = variant.epochs
            axes.plot(epochs, mean, color=colour, linestyle=dash, linewidth=1.5)
            axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
            best = int(mean.argmax() if _rises(metric) else mean.argmin())
            axes.plot(epochs[best], mean[best], "*", color=colour, markersize=9)
            half = (high[-1] - low[-1]) / 2
            label = _EndLabel(variant.label, colour, mean, best, epochs[best], half, metric)
            labels.append(label)
            rows += [
                [variant.label, len(variant.runs), *point] for point in zip(epochs, mean, low, high)
            ]
        outside = _zoom(axes, metric, [label.mean for label in labels])
        if target is not None and _rises(metric):
            _target_line(axes, target)
        name = _words(metric)
        axes.set(xlabel="epoch", ylabel=f"{name}{' (%)' if _rises(metric) else ''}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _end_labels(axes, [label for i, label in enumerate(labels) if i not in outside])
        if outside:
            told = ", ".join(f"{labels[i].name} ({labels[i].value(-1)})" for i in outside)
            side = "below" if _rises(metric) else "above"
            axes.set_title(f"{side} the axis at the end: {told}", fontsize=8, loc="left", wrap=True)
        drawing.save(
            figure, folder, slug(name), ["label", "seeds", "epoch", "mean", "low", "high"], rows
        )
    return Drawn(
        slug(name),
        f"{name[0].upper()}{name[1:]} by epoch",
        "Lines: mean over seeds. Bands: 95 % t interval of the mean (none at one seed)."
        " Star: best epoch of the mean line, chosen on the test set. The first epochs may leave"
        " the axes, which show the later ones.",
    )


@dataclass(frozen=True)
class _EndLabel:
    """The words at the end of a curve."""

    name: str
    colour: str
    mean: np.ndarray
    best: int  # where in `mean`
    best_epoch: int
    half: float
    metric: str

    def value(self, epoch: int) -> str:
        return f"{self.mean[epoch]:.{_digits(self.metric)}f}"

    def __str__(self) -> str:
        reach = f" ± {self.half:.{_digits(self.metric)}f}" if np.isfinite(self.half) else ""
        return (
            f"{self.name}\nlast {self.value(-1)}{reach}, best {self.value(self.best)}"
            f" at {self.best_epoch}"
        )


def _end_labels(axes: Axes, labels: Sequence[_EndLabel]) -> None:
    """Labels right of the axes, at their curves' ends as far as none covers another."""
    low, high = axes.get_ylim()
    size = 8 if len(labels) <= 10 else 6
    gap = min(1 / max(len(labels), 1), 0.09 * size / 8)  # two lines of text, in axes heights
    wanted = [(label.mean[-1] - low) / (high - low) for label in labels]
    for label, place, end in zip(labels, drawing.spread(wanted, gap), wanted):
        axes.annotate(
            str(label),
            xy=(1.0, np.clip(end, 0, 1)),
            xytext=(1.04, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=label.colour,
            fontsize=size,
            va="center",
            arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6},
            annotation_clip=False,
        )


def _zoom(axes: Axes, metric: str, means: Sequence[np.ndarray]) -> list[int]:
    """Axes limits that tell the late epochs of the contenders apart; who is left outside."""
    errors = [100 - mean if _rises(metric) else mean for mean in means]
    best = min(error[-1] for error in errors)
    inside = [i for i, error in enumerate(errors) if error[-1] <= CONTENDER * best + 1e-9]
    late = np.concatenate([errors[i][len(errors[i]) // 2 :] for i in inside])
    reach = max(np.quantile(late, 0.95), max(errors[i][-1] for i in inside))
    low, high = late.min(), max(reach, late.min() * 1.05)
    margin = 0.08 * (high - low) or 0.01
    low, high = max(low - margin, 0), high + margin
    axes.set_ylim(*((100 - high, 100 - low) if _rises(metric) else (low, high)))
    return [i for i, error in enumerate(errors) if error[-1] > high]


def _target_line(axes: Axes, target: float) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, target - 0.05 * (high - low)), max(high, target + 0.05 * (high - low)))
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


def train_test(folder: Path, variant: Variant) -> Drawn:
    """A variant's loss and accuracy in training against validation and test."""
    parts = [
        part for part in ("train", "val", "test") if f"{part}/loss" in variant.runs[0].history[-1]
    ]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 3.4), layout="constrained")
        rows = []
        for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            for part, colour in zip(parts, drawing.COLOURS):
                mean, low, high = stats.curve_interval(variant.curves(f"{part}/{what}"))
                epochs = variant.epochs
                axes.plot(epochs, mean, color=colour, label=part)
                axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
                rows += [[part, what, *point] for point in zip(epochs, mean, low, high)]
            late = [line.get_ydata()[len(line.get_ydata()) // 4 :] for line in axes.lines]
            low, high = np.nanmin(np.concatenate(late)), np.nanmax(np.concatenate(late))
            margin = 0.08 * (high - low) or 0.01
            axes.set_ylim(low - margin, high + margin)
            axes.set(xlabel="epoch", ylabel=f"{what}{' (%)' if what == 'accuracy' else ''}")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
        name = f"train_test_{slug(variant.label)}"
        drawing.save(figure, folder, name, ["part", "metric", "epoch", "mean", "low", "high"], rows)
    return Drawn(
        name,
        f"{variant.label}: training against test",
        "Training figures are means over an epoch while the weights move, with dropout and"
        " augmentation; test figures are of the weights at its end.",
    )


def misclassified(folder: Path, variant: Variant, classes: Sequence[str]) -> Drawn:
    """The ten most confident mistakes of the variant's first seed that has them."""
    run = next(run for run in variant.runs if run.has("misclassified.npz"))
    wrong = run.misclassified()
    title = f"{variant.label}, seed {run.config.seed}: {len(wrong.index)} test images wrong"
    rows = zip(wrong.index, wrong.target, wrong.predicted, wrong.confidence)
    with matplotlib.rc_context({"pdf.fonttype": 42, "savefig.dpi": 150}):
        figure = runs.draw_misclassified(wrong, classes, title)
        name = f"misclassified_{slug(variant.label)}"
        drawing.save(figure, folder, name, ["index", "target", "predicted", "confidence"], rows)
    return Drawn(
        name,
        title,
        "The ten most confident mistakes; confidence is the softmax of the predicted class."
        " The csv lists all.",
    )


def _rises(metric: str) -> bool:
    return metric.endswith("accuracy")


def _digits(metric: str) -> int:
    return 2 if _rises(metric) else 4


def _words(metric: str) -> str:
    return metric.replace("/", " ")
