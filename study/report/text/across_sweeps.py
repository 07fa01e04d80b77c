"""Sweeps against each other: the configurations that two of them share, paired by seed."""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.report import stats
from study.report.text.findings import LEVEL, ROUNDING
from study.report.variants import Study, Variant, count, percent

TEST = "test_accuracy_last"
HEADER = ("label", "one", "two", "seeds", "mean_one", "mean_two",
          "difference", "low", "high", "p", "p_holm")  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A configuration in two sweeps; the difference is the other (`two`) less the `one`."""

    one: Variant
    two: Variant
    difference: stats.Difference
    p_holm: float

    @property
    def label(self) -> str:
        return self.one.label.removeprefix(f"{self.one.sweep}: ")

    @property
    def significant(self) -> bool:
        return self.p_holm < LEVEL

    def row(self) -> list[Any]:
        """A row of sweeps.csv."""
        interval = self.difference.interval
        means = [variant.last(TEST).mean for variant in (self.one, self.two)]
        return [
            self.label, self.one.sweep, self.two.sweep, interval.n, *means,
            *interval[:3], self.difference.p, self.p_holm,
        ]  # fmt: skip

    @property
    def words(self) -> dict[str, str]:
        """The same for a table of the page."""
        interval = self.difference.interval
        known = np.isfinite(interval.half_width)
        return {
            "label": self.label,
            "seeds": str(interval.n),
            "one": f"{self.one.sweep} {percent(self.one.last(TEST))}",
            "two": f"{self.two.sweep} {percent(self.two.last(TEST))}",
            "difference": f"{round(interval.mean, 2) + 0.0:+.2f}" if interval.n else "",
            "interval": f"{interval.low:+.2f} to {interval.high:+.2f}" if known else "",
            "p": f"{self.p_holm:.2g}" if np.isfinite(self.p_holm) else "",
        }


def match(study: Study) -> list[Match] | None:
    """The configurations that are in two sweeps, p corrected for their number; None for one
    sweep."""
    if len({variant.sweep for variant in study.variants}) < 2:
        return None
    alike: dict[Any, list[Variant]] = defaultdict(list)
    for variant in study.variants:
        alike[variant.config].append(variant)
    found = [pair for group in alike.values() for pair in itertools.combinations(group, 2)]
    differences = [stats.difference(two.values(TEST), one.values(TEST)) for one, two in found]
    corrected = stats.holm([difference.p for difference in differences])
    return [
        Match(one, two, difference, float(p))
        for (one, two), difference, p in zip(found, differences, corrected)
    ]


def summarize(study: Study, matches: list[Match]) -> list[str]:
    """Each sweep's best, and what became of the configurations that they share."""
    best: dict[str, Variant] = {}
    for variant in study.ranked():
        best.setdefault(variant.sweep, variant)
    told = [
        f"The best of {sweep}: {variant.label.removeprefix(f'{sweep}: ')}, with"
        f" {percent(variant.last(TEST))} over {count(len(variant.values(TEST)), 'seed')} and"
        f" {variant.parameters['total']:,} parameters."
        for sweep, variant in best.items()
    ]
    if not matches:
        return [*told, "They share no configuration: what they differ in is in their settings."]
    alike = [m for m in matches if abs(m.difference.interval.mean) < ROUNDING]
    better = [m for m in matches if m.significant and m.difference.interval.mean > 0]
    worse = [m for m in matches if m.significant and m.difference.interval.mean < 0]
    return [
        *told,
        f"{count(len(matches), 'configuration')} stand in both of two sweeps: in the other"
        f" {len(better)} are surely better, {len(worse)} surely worse, {len(alike)} the same on"
        f" average; of the rest, no difference can be told (5 %, corrected for"
        f" {count(len(matches), 'comparison')}).",
    ]
