"""Sweeps compared with each other: the configurations that two of them share, paired by seed."""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.config import Config
from study.labels import labels
from study.report import stats
from study.report.contrasts import LEVEL
from study.report.variants import TEST, Study, Variant
from study.report.words import count, percent

HEADER = ("label", "one", "two", "seeds", "mean_one", "mean_two",
          "difference", "low", "high", "p", "p_holm")  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A configuration in two sweeps; the difference is the second (`two`) less the first. `label`
    names it among all that are in two sweeps."""

    label: str
    one: Variant
    two: Variant
    difference: stats.Difference
    p_holm: float

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
    def cells(self) -> dict[str, str]:
        """The cells of the page's table."""
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


@dataclass(frozen=True)
class AcrossSweeps:
    """Several sweeps in sentences, and the configurations that two of them share."""

    sentences: list[str]
    matches: list[Match]


def compare(study: Study) -> AcrossSweeps | None:
    """Compare the sweeps of a study; None where there is but one."""
    if len(study.sweeps) < 2:
        return None
    matches = match(study)
    return AcrossSweeps(sentences(study, matches), matches)


def match(study: Study) -> list[Match]:
    """The configurations that are in two sweeps, with p corrected for their number."""
    by_config: dict[Config, list[Variant]] = defaultdict(list)
    for variant in study.variants:
        by_config[variant.config].append(variant)
    pairs = [pair for group in by_config.values() for pair in itertools.combinations(group, 2)]
    differences = [stats.difference(two.values(TEST), one.values(TEST)) for one, two in pairs]
    corrected = stats.holm([difference.p for difference in differences])
    names = labels(one.config for one, _ in pairs)
    return [
        Match(names[one.config], one, two, difference, float(p))
        for (one, two), difference, p in zip(pairs, differences, corrected)
    ]


def sentences(study: Study, matches: list[Match]) -> list[str]:
    """The best of each sweep and kind, and how the configurations that they share compare."""
    best: dict[tuple[str, tuple], Variant] = {}
    for variant in study.order:
        best.setdefault((variant.sweep, variant.kind), variant)
    bests = []
    for variant in best.values():
        kind = study.describe_kind(variant)
        bests.append(
            f"The best of {variant.sweep}{f' with {kind}' if kind else ''}:"
            f" {variant.label.removeprefix(f'{variant.sweep}: ')}, with"
            f" {percent(variant.last(TEST))} over {count(len(variant.values(TEST)), 'seed')} and"
            f" {variant.parameters['total']:,} parameters."
        )
    if not matches:
        return [*bests, "They share no configuration: what they differ in is in their settings."]
    shared = f"{count(len(matches), 'configuration')} in both of two sweeps"
    return [*bests, f"{shared}: {_verdict(matches)} The table has each difference."]


def _verdict(matches: list[Match]) -> str:
    """In how many configurations that two sweeps share they differ significantly."""
    tested = [m for m in matches if np.isfinite(m.p_holm)]
    if not tested:
        return "none can be tested, which takes two common seeds."
    apart = [m for m in tested if m.significant]
    better = sum(m.difference.interval.mean > 0 for m in apart)
    times = f", higher in the other {better} and lower {len(apart) - better} times" if apart else ""
    of_tested = "" if len(tested) == len(matches) else f" of the {len(tested)} that can be tested"
    return (
        f"the sweeps differ significantly (p < {LEVEL:g} after Holm's correction) in"
        f" {len(apart) or 'none'}{of_tested}{times}."
    )
