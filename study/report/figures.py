"""The figures, one function each: png, pdf and the csv they were drawn from."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import runs
from study.config import Config, slug
from study.report import stats
from study.runs import Run

# Okabe & Ito's colours, told apart by colour-blind readers; yellow left out as too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
STYLE = {
    "pdf.fonttype": 42,  # TrueType: text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "savefig.dpi": 150,
}
CONTENDER = 8  # a curve whose last error is over so many times the best one's may leave the axes


@dataclass(frozen=True)
class Variant:
    """One configuration over its seeds. `runs`: those that finished, by seed."""

    label: str
    config: Config
    runs: list[Run]

    @property
    def epochs(self) -> list[int]:
        """The epochs that all runs have; one pulled from W&B may lack some."""
        return sorted(set.intersection(*({row["epoch"] for row in r.history} for r in self.runs)))

    def curves(self, metric: str) -> np.ndarray:
        """[seeds, epochs] of a metric of the history; NaN where it was not logged."""
        rows = [{row["epoch"]: row.get(metric, np.nan) for row in run.history} for run in self.runs]
        return np.array([[row[epoch] for epoch in self.epochs] for row in rows])

    def last(self, key: str) -> stats.Interval:
        """A figure of the summary over the seeds; NaN where it was not logged."""
        return stats.mean_interval([run.summary.get(key, np.nan) for run in self.runs])


@dataclass(frozen=True)
class Drawn:
    """A figure on disk: `name`.png, .pdf and .csv in a folder, and what it shows."""

    name: str
    title: str
    caption: str


def comparison(
    folder: Path, variants: Sequence[Variant], metric: str, target: float | None = None
) -> Drawn:
    """All variants' curves of test/loss or test/accuracy in one graph, the last value and the best
    epoch of each mean curve annotated; `target` draws a line at an accuracy."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 4.8), layout="constrained")
        axes = figure.subplots()
        rows, labels = [], []
        for i, variant in enumerate(variants):
            mean, low, high = stats.curve_interval(variant.curves(metric))
            colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
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
        _save(figure, folder, slug(name), ["label", "seeds", "epoch", "mean", "low", "high"], rows)
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
    for label, place, end in zip(labels, spread(wanted, gap), wanted):
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


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in 0 to 1, in the order of `wanted` and near it, at least `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    places = np.asarray(wanted, dtype=float).clip(gap / 2, 1 - gap / 2)
    for before, i in itertools.pairwise(order):
        places[i] = max(places[i], places[before] + gap)
    ceiling = 1 - gap / 2
    for i in order[::-1]:
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    return places.tolist()


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
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 3.4), layout="constrained")
        rows = []
        for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            for part, colour in zip(parts, COLOURS):
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
        _save(figure, folder, name, ["part", "metric", "epoch", "mean", "low", "high"], rows)
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
        _save(figure, folder, name, ["index", "target", "predicted", "confidence"], rows)
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


def _save(
    figure: Figure, folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    # No date inside, so that the same runs give the same files.
    for kind, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        runs.write(
            folder / f"{name}.{kind}",
            lambda file, k=kind, m=metadata: figure.savefig(file, format=k, metadata=m),
        )
    write_csv(folder / f"{name}.csv", header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A csv with full precision; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if _is_nan(cell) else cell for cell in row])
    runs.write(path, lambda file: file.write(text.getvalue().encode()))


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))
