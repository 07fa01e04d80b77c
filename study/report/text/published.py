"""The figures of the published studies, and what became of them here.

published.csv has a line for each variant of a study: its figures (accuracies in percent of the
official test images, one seed, `best` chosen on those images; `train` of the training images during
the last epoch), its settings as we run them, which of these it does not state, and its source.
published_curves.csv has the epochs where it printed them.
"""

import csv
import functools
import importlib.resources
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import datasets
from study.config import Config, parse_variant, text
from study.report import stats
from study.report.figures import drawing
from study.report.figures.drawing import COLOURS, STYLE, SavedFigure, save
from study.report.variants import Variant, count, percent

SAME = ("dataset", "network", "norm")  # what a variant and the published one must share
ACCURACIES = ("last", "best", "train")
DIFFERENT = 1  # stated settings in which they may differ and still be compared


@dataclass(frozen=True)
class Published:
    """A variant of a published study. last, best, train: percent, None where none was given;
    curve: test accuracy by epoch, empty where none was printed."""

    study: str
    variant: str
    parameters: int
    last: float | None
    best: float | None
    train: float | None
    config: Config
    unstated: tuple[str, ...]
    note: str
    source: str
    curve: tuple[float, ...]


@functools.cache
def read() -> tuple[Published, ...]:
    """All variants of the published studies."""
    curves: dict[tuple[str, str], list[float]] = {}
    for row in _rows("published_curves.csv"):
        key = row["study"], row["variant"]
        curves.setdefault(key, []).append(float(row["test_accuracy"]))
    return tuple(
        Published(
            study=row["study"],
            variant=row["variant"],
            parameters=int(row["parameters"]),
            **{name: float(row[name]) if row[name] else None for name in ACCURACIES},
            config=Config(**parse_variant(row["settings"])),
            unstated=tuple(row["unstated"].split()),
            note=row["note"],
            source=row["source"],
            curve=tuple(curves.get((row["study"], row["variant"]), ())),
        )
        for row in _rows("published.csv")
    )


def _rows(file: str) -> list[dict[str, str]]:
    body = importlib.resources.files("study.report.text").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(body.splitlines()))


@dataclass(frozen=True)
class Reproduced:
    """A published variant beside ours: last, over seeds; best and train, means over seeds."""

    published: Published
    variant: Variant
    parameters: int
    last: stats.Interval
    best: float
    train: float

    @property
    def difference(self) -> float:
        """Ours less the published last accuracy, in points; NaN where there is none."""
        return self.last.mean - (self.published.last or math.nan)

    @property
    def verdict(self) -> str:
        """contains, above, below (where our interval lies), one seed, or no figure."""
        goal = self.published.last
        if goal is None:
            return "no figure"
        if self.last.n < 2:
            return "one seed"
        if self.last.low > goal:
            return "above"
        return "below" if self.last.high < goal else "contains"

    @property
    def differs(self) -> list[str]:
        """What differs from the published run, or is not known of it, in words."""
        ours, theirs = asdict(self.variant.config), asdict(self.published.config)
        told = [
            f"{name} {text(ours[name])} instead of {text(theirs[name])}"
            for name in _different(self.variant.config, self.published)
        ]
        if self.parameters != self.published.parameters:
            told.append(f"{self.parameters:,} parameters instead of {self.published.parameters:,}")
        if self.published.unstated:
            names = ", ".join(f"{n} {text(ours[n])}" for n in self.published.unstated)
            told.append(f"our choice, since it states none: {names}")
        return told + ([self.published.note] if self.published.note else [])

    def __str__(self) -> str:
        """What agrees, what does not, by how much, and what differs."""
        goal, seeds = self.published.last, count(self.last.n, "seed")
        told = f"{self.variant.label}: {percent(self.last)} over {seeds}, published "
        told += f"{goal:.2f} %: {self._compared()}." if goal is not None else "without a figure."
        if self.published.train is not None and not math.isnan(self.train):
            told += f" In training {self.train:.2f} %, published {self.published.train:.2f} %."
        if self.parameters == self.published.parameters:
            told += f" {self.parameters:,} parameters, as published."
        if self.differs:
            return f"{told} What differs or is not known: {'; '.join(self.differs)}."
        return f"{told} Every stated setting is the same."

    def _compared(self) -> str:
        points = f"{abs(self.difference):.2f} points"
        side = "above" if self.difference > 0 else "below"
        match self.verdict:
            case "contains":
                return "our 95 % interval contains it"
            case "above":
                return f"our 95 % interval lies above it, its mean by {points}; {self._alike()}"
            case "below":
                nearest = self.published.last - self.last.high
                return (
                    f"our 95 % interval lies below it, its mean by {points} and its upper end by"
                    f" {nearest:.2f}; {self._alike()}"
                )
        return (
            f"{points} {side} it, {self._within(self.chance)} the {self.chance:.2f} that two"
            " figures of one seed each differ by through their test images alone (95 %)"
        )

    def _alike(self) -> str:
        """Whether the published figure, of one run, could be of one more run like ours."""
        mean, reach = self.last.mean, self.last.prediction_half_width
        return (
            f"published was one run, and it is {self._within(reach)} {mean:.2f} ± {reach:.2f} %,"
            " where one more run of ours would lie (95 %)"
        )

    def _within(self, reach: float) -> str:
        return "within" if abs(self.difference) <= reach else "outside"

    @property
    def chance(self) -> float:
        """How far two accuracies near ours lie apart by the test images alone, 19 times in 20."""
        images = datasets.spec(self.variant.config.dataset).test_images
        return 1.96 * math.sqrt(2) * stats.binomial_error(self.last.mean, images)


def _different(config: Config, published: Published) -> list[str]:
    """The stated settings in which a configuration is not the published one."""
    ours, theirs = asdict(config), asdict(published.config)

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float):
            return math.isclose(one, other, rel_tol=1e-4)  # as far as they are printed
        return one == other

    stated = [name for name in ours if name != "seed" and name not in published.unstated]
    return [name for name in stated if not same(ours[name], theirs[name])]


def reproduced(variants: Sequence[Variant]) -> list[Reproduced]:
    """The published variants that these are runs of, each beside the one nearest to it.

    A variant stands for a published one if they share data set, network and norm, and differ in
    one stated setting at most; each stands for the one that it is nearest to.
    """
    nearest: dict[Published, tuple[int, Variant]] = {}
    for variant in variants:
        near = [
            (len(_different(variant.config, published)), published)
            for published in read()
            if all(getattr(variant.config, f) == getattr(published.config, f) for f in SAME)
        ]
        if not near:
            continue
        distance, published = min(near, key=lambda pair: pair[0])
        if distance <= min(DIFFERENT, nearest.get(published, (math.inf,))[0] - 1):
            nearest[published] = distance, variant
    return [
        _beside(published, nearest[published][1]) for published in read() if published in nearest
    ]


def _beside(published: Published, variant: Variant) -> Reproduced:
    return Reproduced(
        published,
        variant,
        parameters=variant.parameters["total"],
        last=variant.last("test_accuracy_last"),
        best=variant.last("test_accuracy_best").mean,
        train=variant.last("train_accuracy_last").mean,
    )


def findings(found: Sequence[Reproduced]) -> list[str]:
    """How many figures were reproduced, then a sentence or more on each variant."""
    counts = Counter(one.verdict for one in found)
    words = {
        "contains": "our 95 % interval contains {}",
        "above": "lies above {}",
        "below": "lies below {}",
        "one seed": "one seed gives no interval for {}",
    }
    told = [words[v].format(counts[v]) for v in words if counts[v]]
    compared = sum(counts[v] for v in words)
    figures = f"Of {count(compared, 'published figure')} at the last epoch"
    summary = [f"{figures}: {', '.join(told)}."] if told else []
    return summary + [str(one) for one in found]


HEADER = (
    "study", "variant", "parameters", "published parameters", "seeds", "last", "published last",
    "difference", "best", "published best", "in training", "published in training", "verdict",
)  # fmt: skip


def table(found: Sequence[Reproduced]) -> list[list[str]]:
    """Rows of text under HEADER; accuracies in percent, differences in points."""

    def points(value: float | None, sign: str = "") -> str:
        return "" if value is None or math.isnan(value) else f"{value:{sign}z.2f}"

    return [
        [
            one.published.study,
            one.variant.label,
            f"{one.parameters:,}",
            f"{one.published.parameters:,}",
            str(one.last.n),
            percent(one.last).removesuffix(" %"),
            points(one.published.last),
            points(one.difference, "+"),
            points(one.best),
            points(one.published.best),
            points(one.train),
            points(one.published.train),
            one.verdict,
        ]
        for one in found
    ]


def note(found: Sequence[Reproduced]) -> str:
    """What the table's figures are, and where those of each study were published."""
    sources = {one.published.study: one.published.source for one in found}
    listed = "; ".join(f"{study}: {source}" for study, source in sources.items())
    return (
        "Accuracies in percent: at the last epoch, at the best one (chosen on the test set), and in"
        " training during the last epoch; ours are means over seeds. Published, each of one run:"
        f" {listed}."
    )


def draw(folder: Path, found: Sequence[Reproduced]) -> SavedFigure:
    """A panel a variant: the published curve, or its last figure, thin over our mean and band.

    `found` has one at least.
    """
    columns = min(3, len(found))
    lines = math.ceil(len(found) / columns)
    rows = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 0.5 + 2.5 * lines), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, one in zip(grid, found):
            rows += _panel(axes, one)
        for axes in grid[len(found) :]:
            axes.axis("off")
        for axes in grid[::columns]:
            axes.set_ylabel("test accuracy (%)")
        legends = [axes.get_legend_handles_labels() for axes in grid]
        figure.legend(
            *max(legends, key=lambda legend: len(legend[0])),
            loc="outside upper center",
            ncols=2,
            frameon=False,
        )
        header = ["study", "variant", "label", "epoch", "published", "seeds", "mean", "low", "high"]
        save(figure, folder, "published", header, rows)
    return SavedFigure(
        "published",
        "Published and reproduced",
        "Thick: our mean over seeds, with its 95 % t interval (none at one seed). Thin and black:"
        " the published run, one seed; a cross where only its last figure is known. Each"
        " panel has a scale of its own, made for the later epochs.",
    )


def _panel(axes: Axes, one: Reproduced) -> list[list[Any]]:
    """One variant; the rows of the csv."""
    mean, low, high = stats.curve_interval(one.variant.curves("test/accuracy"))
    epochs, curve, last = one.variant.epochs, one.published.curve, one.published.last
    axes.plot(epochs, mean, color=COLOURS[0], linewidth=2.2, label="ours")
    axes.fill_between(epochs, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    if curve:
        axes.plot(range(1, len(curve) + 1), curve, color="black", linewidth=0.8, label="published")
    elif last is not None:
        curve = (math.nan,) * (one.published.config.epochs - 1) + (last,)
        axes.plot([len(curve)], [last], "x", color="black", markersize=6, label="published")
    bottom, top = drawing.limits([line.get_ydata() for line in axes.lines], [low[-1], high[-1]])
    axes.set_ylim(bottom, min(top, 100))
    axes.set_title(f"{one.variant.label}, n = {one.last.n}", fontsize=9)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    theirs, ours = dict(enumerate(curve, 1)), dict(zip(epochs, zip(mean, low, high)))
    missing = (math.nan,) * 3
    return [
        [
            one.published.study, one.published.variant, one.variant.label, epoch,
            theirs.get(epoch, math.nan), one.last.n, *ours.get(epoch, missing),
        ]
        for epoch in sorted(theirs.keys() | ours.keys())
    ]  # fmt: skip
