"""The figures of the published studies, compared with ours.

published.csv has a line for each variant of a study: its figures (accuracies in percent of the
official test images, one seed, `best` chosen on those images; `train` of the training images during
the last epoch), its settings, what differs in ours or is not known, and its source.
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

from study.config import Config, parse_variant
from study.report import stats
from study.report.text.table import Table
from study.report.variants import TEST, Variant
from study.report.words import in_cell, in_words
from study.values import count, text

SAME = ("dataset", "network", "norm", "epochs")  # what a variant and a published one must share
MOST_DIFFERENT = 1  # other settings in which they may differ and still be compared
ACCURACIES = ("last", "best", "train")
HEADER = (
    "study", "variant", "parameters", "published parameters", "seeds", "last", "one more run",
    "published last", "difference", "best", "published best", "in training",
    "published in training", "published is",
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
            note=row["note"],
            source=row["source"],
            curve=tuple(curves.get((row["study"], row["variant"]), ())),
        )
        for row in _rows("published.csv")
    )


def _rows(file: str) -> list[dict[str, str]]:
    body = importlib.resources.files("study.report.text").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(body.splitlines()))


WITHOUT = {  # verdicts without an interval, and why
    "one seed": "one seed gives no interval",
    "no spread": "seeds that are all alike give no interval",
}


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
        """within, above, below: where the published run lies beside one more run of ours (95 %);
        one seed, no spread, or no figure."""
        theirs = self.published.last
        if theirs is None:
            return "no figure"
        if self.last.n < 2:
            return "one seed"
        if math.isnan(self.last.half_width):
            return "no spread"
        low, high = self.last.prediction
        if theirs > high:
            return "above"
        return "below" if theirs < low else "within"

    @property
    def one_more_run(self) -> str:
        """Student's 95 % prediction interval of one more run of ours; empty where seeds show no
        spread."""
        low, high = self.last.prediction
        return "" if math.isnan(low) else f"{max(low, 0):.2f} to {min(high, 100):.2f}"

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
        return words + ([self.published.note] if self.published.note else [])

    def __str__(self) -> str:
        """Both figures, how they compare, and in what the two runs differ."""
        theirs, seeds = self.published.last, count(self.last.n, "seed")
        words = f"{self.variant.label}: {in_words(self.last)} over {seeds}, published "
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
        """Whether the published figure, of one run, may be of one more run like ours."""
        side = "above" if self.difference < 0 else "below"
        apart = f"{abs(self.difference):.2f} points {side} our"
        if self.verdict in WITHOUT:
            return f"{apart}s; {WITHOUT[self.verdict]}"
        place = "within" if self.verdict == "within" else "outside"
        return f"{apart} mean, {place} the {self.one_more_run} where one more run would lie (95 %)"


def _different(config: Config, published: Published) -> list[str]:
    """The settings in which a configuration is not the published one."""
    ours, theirs = asdict(config), asdict(published.config)

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float):
            return math.isclose(one, other, rel_tol=1e-4)  # as far as they are printed
        return one == other

    return [name for name in ours if name != "seed" and not same(ours[name], theirs[name])]


def reproduced(variants: Sequence[Variant]) -> list[Reproduced]:
    """The published variants that these are runs of, each with the variant nearest to it.

    A variant is compared with the published one that it is nearest to. They share the settings in
    SAME, and differ in one other at most.
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
class Comparisons:
    """The published figures beside ours, in sentences and in a table."""

    sentences: list[str]
    table: Table


def compare(comparisons: Sequence[Reproduced]) -> Comparisons | None:
    """Compare the published figures with ours; None where there are none."""
    if not comparisons:
        return None
    table = Table(HEADER, rows(comparisons), note(comparisons))
    return Comparisons(sentences(comparisons), table)


def sentences(comparisons: Sequence[Reproduced]) -> list[str]:
    """How many figures were reproduced, then a sentence or more on each variant."""
    return [*_summary(comparisons), *map(str, comparisons)]


def _summary(comparisons: Sequence[Reproduced]) -> list[str]:
    """How many published figures lie where one more run of ours would, and how many should: of
    those whose settings are all ours, since another run would be none of ours."""
    alike = [one for one in comparisons if not _different(one.variant.config, one.published)]
    counts = Counter(one.verdict for one in alike)
    judged = counts["within"] + counts["above"] + counts["below"]
    if not judged:
        return []
    text = (
        f"Of {count(judged, 'published figure')} at the last epoch, {counts['within']} lie where"
        " one more run of ours would (95 % prediction interval)"
    )
    outside = [f"{counts[side]} {side}" for side in ("above", "below") if counts[side]]
    text += f", {' and '.join(outside)}" if outside else ""
    expected = stats.CONFIDENCE * judged
    text += (
        f". Were all of them such runs, {expected:.{2 if expected < 10 else 1}f} would on average"
    )
    if outside:
        chance = stats.chance_of_at_most(counts["within"], judged)
        text += f", and {counts['within']} or fewer with a chance of {chance:.2g}"
    left_out = len(comparisons) - len(alike)
    return [f"{text}." + (f" Not counted: {left_out} of other settings." if left_out else "")]


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
            in_cell(one.last),
            one.one_more_run,
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
        " training during the last epoch; ours are means over seeds, with the 95 % interval of the"
        " mean, and of one more run. Published, each of one run:"
        f" {listed}."
    )
