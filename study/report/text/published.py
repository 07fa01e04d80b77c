"""The figures of the published studies, compared with ours.

published.csv has a line for each variant of a study: its figures (accuracies in percent of the
official test images, one seed, `best` chosen on those images; `train` of the training images during
the last epoch), its settings as we run them, which of these it does not state, and its source.
published_curves.csv has the epochs, where a study printed them.
"""

import csv
import functools
import importlib.resources
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from study import datasets
from study.config import Config, parse_variant, text
from study.report import stats
from study.report.variants import TEST, Variant, count, percent

SAME = ("dataset", "network", "norm")  # settings that a variant and a published one must share
MOST_DIFFERENT = 1  # other stated settings in which they may differ and still be compared
ACCURACIES = ("last", "best", "train")
HEADER = (
    "study", "variant", "parameters", "published parameters", "seeds", "last", "published last",
    "difference", "best", "published best", "in training", "published in training", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A variant of a published study.

    last, best, train: percent, None where none was given. curve: test accuracy by epoch, empty
    where none was printed.
    """

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
    """Read all variants of the published studies."""
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
        """Our last accuracy less the published one, in points; NaN where none was published."""
        return self.last.mean - (self.published.last or math.nan)

    @property
    def verdict(self) -> str:
        """contains, above, below (where our interval lies), one seed, or no figure."""
        theirs = self.published.last
        if theirs is None:
            return "no figure"
        if self.last.n < 2:
            return "one seed"
        if self.last.low > theirs:
            return "above"
        return "below" if self.last.high < theirs else "contains"

    @property
    def differences(self) -> list[str]:
        """What differs from the published run, or is not known of it."""
        ours, theirs = asdict(self.variant.config), asdict(self.published.config)
        words = [
            f"{name} {text(ours[name])} instead of {text(theirs[name])}"
            for name in _different(self.variant.config, self.published)
        ]
        if self.parameters != self.published.parameters:
            words.append(f"{self.parameters:,} parameters instead of {self.published.parameters:,}")
        if self.published.unstated:
            names = ", ".join(f"{n} {text(ours[n])}" for n in self.published.unstated)
            words.append(f"our choice, since it states none: {names}")
        return words + ([self.published.note] if self.published.note else [])

    def __str__(self) -> str:
        """Both figures, how they compare, and in what the two runs differ."""
        theirs, seeds = self.published.last, count(self.last.n, "seed")
        words = f"{self.variant.label}: {percent(self.last)} over {seeds}, published "
        words += (
            f"{theirs:.2f} %: {self._compare()}." if theirs is not None else "without a figure."
        )
        if self.published.train is not None and not math.isnan(self.train):
            words += f" In training {self.train:.2f} %, published {self.published.train:.2f} %."
        if self.parameters == self.published.parameters:
            words += f" {self.parameters:,} parameters, as published."
        if self.differences:
            return f"{words} What differs or is not known: {'; '.join(self.differences)}."
        return f"{words} Every stated setting is the same."

    def _compare(self) -> str:
        points = f"{abs(self.difference):.2f} points"
        chance = self.chance_difference
        side = "above" if self.difference > 0 else "below"
        match self.verdict:
            case "contains":
                return "our 95 % interval contains it"
            case "above":
                return (
                    f"our 95 % interval lies above it, its mean by {points}; {self._as_one_run()}"
                )
            case "below":
                nearest = (self.published.last or math.nan) - self.last.high
                return (
                    f"our 95 % interval lies below it, its mean by {points} and its upper end by"
                    f" {nearest:.2f}; {self._as_one_run()}"
                )
        return (
            f"{points} {side} it, {self._within(chance)} the {chance:.2f} that two"
            " figures of one seed each differ by through their test images alone (95 %)"
        )

    def _as_one_run(self) -> str:
        """Whether the published figure, of one run, could be of one more run like ours."""
        mean, half = self.last.mean, self.last.prediction_half_width
        return (
            f"published was one run, and it is {self._within(half)} {mean:.2f} ± {half:.2f} %,"
            " where one more run of ours would lie (95 %)"
        )

    def _within(self, half_width: float) -> str:
        return "within" if abs(self.difference) <= half_width else "outside"

    @property
    def chance_difference(self) -> float:
        """The difference of two accuracies near ours that the test images alone make in 5 %."""
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
    """The published variants that these are runs of, each with the variant nearest to it.

    A variant is compared with the published one that it is nearest to. They share data set, network
    and norm, and differ in one other stated setting at most.
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
        if distance <= min(MOST_DIFFERENT, nearest.get(published, (math.inf,))[0] - 1):
            nearest[published] = distance, variant
    return [
        _reproduced(published, nearest[published][1])
        for published in read()
        if published in nearest
    ]


def _reproduced(published: Published, variant: Variant) -> Reproduced:
    return Reproduced(
        published,
        variant,
        parameters=variant.parameters["total"],
        last=variant.last(TEST),
        best=variant.last("test_accuracy_best").mean,
        train=variant.last("train_accuracy_last").mean,
    )


@dataclass(frozen=True)
class PublishedTable:
    """The published figures beside ours: sentences, and a table with a note below it."""

    sentences: list[str]
    header: tuple[str, ...]
    rows: list[list[str]]
    note: str


def compare(comparisons: Sequence[Reproduced]) -> PublishedTable | None:
    """Compare the published figures with ours; None where there are none."""
    if not comparisons:
        return None
    return PublishedTable(sentences(comparisons), HEADER, rows(comparisons), note(comparisons))


def sentences(comparisons: Sequence[Reproduced]) -> list[str]:
    """How many figures were reproduced, then a sentence or more on each variant."""
    counts = Counter(one.verdict for one in comparisons)
    words = {
        "contains": "our 95 % interval contains {}",
        "above": "lies above {}",
        "below": "lies below {}",
        "one seed": "one seed gives no interval for {}",
    }
    verdicts = [words[v].format(counts[v]) for v in words if counts[v]]
    compared = sum(counts[v] for v in words)
    figures = f"Of {count(compared, 'published figure')} at the last epoch"
    summary = [f"{figures}: {', '.join(verdicts)}."] if verdicts else []
    return summary + [str(one) for one in comparisons]


def rows(comparisons: Sequence[Reproduced]) -> list[list[str]]:
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
        for one in comparisons
    ]


def note(comparisons: Sequence[Reproduced]) -> str:
    """What the figures of the table are, and where those of each study were published."""
    sources = {one.published.study: one.published.source for one in comparisons}
    listed = "; ".join(f"{study}: {source}" for study, source in sources.items())
    return (
        "Accuracies in percent: at the last epoch, at the best one (chosen on the test set), and in"
        " training during the last epoch; ours are means over seeds. Published, each of one run:"
        f" {listed}."
    )
