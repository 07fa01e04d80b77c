"""The figures, one function each: png, pdf and the csv they were drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from study.config import number, slug
from study.report import stats
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import OTHERS, Study, Variant, percent

CONTENDER = 8  # a curve whose last error is over so many times the best one's may leave the axes
MOST_ROWS = 30  # variants in a figure that has a row for each
FACTOR = 10  # between the least and the greatest value, from which on an axis is logarithmic
TEST = "test_accuracy_last"
COSTS = {"parameters": "parameters", "seconds": "seconds a run"}


def comparison(folder: Path, study: Study, metric: str, target: float | None = None) -> SavedFigure:
    """All variants' curves of test/loss or test/accuracy in one graph, the last value and the best
    epoch of each mean curve annotated, of many those of the best alone, the others in grey;
    `target` draws a line at an accuracy."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        rows, labels, grey = [], [], []
        for variant in study.variants:
            mean, low, high = stats.curve_interval(variant.curves(metric))
            epochs = variant.epochs
            rows += [
                [variant.label, len(variant.runs), *point] for point in zip(epochs, mean, low, high)
            ]
            if variant not in study.shown:
                grey.append(np.column_stack([epochs, mean]))
                continue
            colour, dash = drawing.line(study.shown.index(variant))
            axes.plot(epochs, mean, color=colour, linestyle=dash, linewidth=1.5)
            faint = drawing.faint(len(study.shown))
            axes.fill_between(epochs, low, high, color=colour, alpha=faint, linewidth=0)
            best = int(mean.argmax() if _rises(metric) else mean.argmin())
            axes.plot(epochs[best], mean[best], "*", color=colour, markersize=9)
            half = (high[-1] - low[-1]) / 2
            label = _EndLabel(variant.label, colour, mean, best, epochs[best], half, metric)
            labels.append(label)
        axes.add_collection(LineCollection(grey, colors=OTHERS, linewidths=0.6, zorder=0))
        outside = _zoom(axes, metric, [label.mean for label in labels])
        if target is not None and _rises(metric):
            _target_line(axes, target)
        name = _words(metric)
        axes.set(xlabel="epoch", ylabel=f"{name}{' (%)' if _rises(metric) else ''}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        inside = [label for i, label in enumerate(labels) if i not in outside]
        drawing.side_labels(axes, [label.side() for label in inside])
        if outside:
            told = ", ".join(f"{labels[i].name} ({labels[i].value(-1)})" for i in outside)
            side = "below" if _rises(metric) else "above"
            axes.set_title(f"{side} the axis at the end: {told}", fontsize=8, loc="left", wrap=True)
        drawing.save(
            figure, folder, slug(name), ["label", "seeds", "epoch", "mean", "low", "high"], rows
        )
    return SavedFigure(
        slug(name),
        f"{name[0].upper()}{name[1:]} by epoch",
        "Lines: mean over seeds. Bands: 95 % t interval of the mean (none at one seed)."
        " Star: best epoch of the mean line, chosen on the test set. The first epochs may leave"
        " the axes, which show the later ones."
        + (f" In grey: all but the best {len(study.shown)}." if study.others else ""),
        axes.get_ylim(),
    )


@dataclass(frozen=True)
class _EndLabel:
    """The words at the end of a curve."""

    name: str
    colour: str
    mean: np.ndarray
    best: int  # where in `mean`
    best_epoch: int
    half_width: float
    metric: str

    def value(self, epoch: int) -> str:
        return f"{self.mean[epoch]:.{_digits(self.metric)}f}"

    def side(self) -> drawing.Side:
        reach = (
            f" ± {self.half_width:.{_digits(self.metric)}f}" if np.isfinite(self.half_width) else ""
        )
        words = (
            f"{self.name}\nlast {self.value(-1)}{reach}, best {self.value(self.best)}"
            f" at {self.best_epoch}"
        )
        return drawing.Side(words, self.colour, None, self.mean[-1])


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


def train_test(folder: Path, variant: Variant) -> SavedFigure:
    """A variant's loss and accuracy in training against validation and test, and its learning
    rate."""
    known = variant.runs[0].history[-1]
    parts = [part for part in ("train", "val", "test") if f"{part}/loss" in known]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 3.2), layout="constrained")
        loss, accuracy, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
        rows = _curves(loss, variant, "loss", parts)
        rows += _curves(accuracy, variant, "accuracy", parts)
        rows += _learning_rate(rate, variant)
        name = f"train_test_{variant.file}"
        drawing.save(figure, folder, name, ["part", "metric", "epoch", "mean", "low", "high"], rows)
    return SavedFigure(
        name,
        f"{variant.label}: training against test",
        "Training figures are means over an epoch while the weights move, with dropout and"
        " augmentation; test figures are of the weights at its end. Learning rate: of an epoch's"
        " last batch.",
    )


def _curves(axes: Axes, variant: Variant, what: str, parts: Sequence[str]) -> list[list[Any]]:
    """A metric of each part of the data; the rows of the csv."""
    rows: list[list[Any]] = []
    means, ends = [], []
    for part, colour in zip(parts, drawing.COLOURS):
        mean, low, high = stats.curve_interval(variant.curves(f"{part}/{what}"))
        axes.plot(variant.epochs, mean, color=colour, label=part)
        axes.fill_between(variant.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        rows += [[part, what, *point] for point in zip(variant.epochs, mean, low, high)]
        means.append(mean)
        ends += [low[-1], high[-1]]
    axes.set_ylim(drawing.limits(means, ends))
    axes.set(xlabel="epoch", ylabel=f"{what}{' (%)' if what == 'accuracy' else ''}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return rows


def _learning_rate(axes: Axes, variant: Variant) -> list[list[Any]]:
    """The same for all seeds; the rows of the csv. Runs of others' making may lack it."""
    rates = variant.curves("lr")[0]
    known = rates[np.isfinite(rates)]
    axes.plot(variant.epochs, rates, ".-", color="0.3", linewidth=1)
    if len(known) and known.max() > FACTOR * known.min() > 0:
        axes.set_yscale("log")
    elif len(known):
        axes.set_ylim(0, 1.1 * known.max() or 1)
    axes.set(xlabel="epoch", ylabel="learning rate")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return [["train", "lr", epoch, *[rate] * 3] for epoch, rate in zip(variant.epochs, rates)]


def final(folder: Path, study: Study) -> SavedFigure:
    """The variants one below the other, the best on top: test accuracy at the last epoch, each
    seed and the interval of the mean, with the number of parameters."""
    known = [v for v in study.ranked() if v.values(TEST)]
    ranked = known[:MOST_ROWS][::-1]
    with matplotlib.rc_context(drawing.STYLE):
        size = (drawing.WIDE["figsize"][0], 1 + 0.3 * len(ranked))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        scores = [variant.last(TEST) for variant in ranked]
        low, high = _span([score.mean for score in scores])
        for y, (variant, score) in enumerate(zip(ranked, scores)):
            colour = study.colour(variant)
            if score.mean < low:
                axes.plot(low, y, "<", color=colour, markersize=6, clip_on=False)
                continue
            seeds = list(variant.values(TEST).values())
            axes.plot(seeds, [y] * len(seeds), "o", color=colour, markersize=3.5, alpha=0.45)
            axes.plot(score.mean, y, "D", color=colour, markersize=5)
            if np.isfinite(score.half_width):
                axes.plot([score.low, score.high], [y, y], color=colour, linewidth=1.6)
        axes.set(xlim=(low, high), ylim=(-0.6, len(ranked) - 0.4), xlabel="test accuracy (%)")
        axes.set_yticks(range(len(ranked)), [variant.label for variant in ranked])
        axes.grid(False, axis="y")
        for y, (variant, score) in enumerate(zip(ranked, scores)):
            axes.annotate(
                f"{percent(score)}  {variant.parameters['total']:,} parameters",
                (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                annotation_clip=False,
            )  # fmt: skip
        rows = []
        for variant in known:
            score, moves = variant.last(TEST), variant.late_deviation()
            shared = [variant.label, variant.parameters["total"], score.n, *score[:3]]
            rows += [[*shared, seed, x, moves[seed]] for seed, x in variant.values(TEST).items()]
        header = ["label", "parameters", "seeds", "mean", "low", "high", "seed", "test_accuracy",
                  "last5_deviation"]  # fmt: skip
        drawing.save(figure, folder, "final", header, rows)
    cut = f" The best {MOST_ROWS} are shown." if len(study.variants) > MOST_ROWS else ""
    return SavedFigure(
        "final",
        "Test accuracy at the last epoch",
        "Diamonds: means; bars: 95 % t interval of the mean (none at one seed); dots: seeds. In the"
        f" order of the {study.chosen_by}. Triangles: left of the axis.{cut}",
    )


def tradeoff(
    folder: Path, study: Study, name: str, of: Callable[[Variant], float]
) -> SavedFigure | None:
    """Test accuracy against what a variant costs: its `parameters`, or the `seconds` of a run.
    None where all cost the same, or it is not known."""
    known = [v for v in study.variants if v.values(TEST) and np.isfinite(of(v))]
    if len({of(variant) for variant in known}) < 2:
        return None
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        sides, rows = [], []
        low, high = _span([variant.last(TEST).mean for variant in known])
        axes.set_ylim(low, high)
        inside = [variant for variant in known if variant.last(TEST).mean >= low]
        grey = [variant for variant in inside if variant not in study.shown]
        for group in [grey, *([variant] for variant in inside if variant in study.shown)]:
            scores = [variant.last(TEST) for variant in group]
            colour = study.colour(group[0]) if group else OTHERS
            drawing.points(axes, [of(variant) for variant in group], scores, colour)
        for variant in known:
            score = variant.last(TEST)
            rows.append([variant.label, of(variant), score.n, *score[:3]])
            if variant in inside and variant in study.shown:
                words = f"{variant.label}\n{percent(score)}, {number(round(of(variant), 1))} {name}"
                sides.append(drawing.Side(words, study.colour(variant), of(variant), score.mean))
        costs = [of(variant) for variant in known]
        if max(costs) / max(min(costs), 1e-9) > FACTOR:
            axes.set_xscale("log")
        axes.set(xlabel=COSTS[name], ylabel="test accuracy at the last epoch (%)")
        drawing.side_labels(axes, sides)
        header = ["label", name, "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, f"accuracy_{name}", header, rows)
    return SavedFigure(
        f"accuracy_{name}",
        f"Accuracy against {COSTS[name]}",
        "Means over seeds with the 95 % t interval; towards the upper left is better. Variants"
        " far behind lie below the axis.",
        (low, high),
    )


def _span(means: Sequence[float]) -> tuple[float, float]:
    """Limits of an accuracy that tell the contenders apart."""
    errors = 100 - np.array(means)
    inside = errors[errors <= CONTENDER * max(errors.min(), 0.1)]
    margin = 0.25 * np.ptp(inside) or 0.1
    return 100 - inside.max() - margin, 100 - inside.min() + margin


def _rises(metric: str) -> bool:
    return metric.endswith("accuracy")


def _digits(metric: str) -> int:
    return 2 if _rises(metric) else 4


def _words(metric: str) -> str:
    return metric.replace("/", " ")
