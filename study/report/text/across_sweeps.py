"""Sweeps compared with each other: the configurations that two of them share, paired by seed."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.config import Config
from study.labels import labels
from study.report import stats
from study.report.contrasts import LEVEL
from study.report.study import Study
from study.report.text.table import Table
from study.report.variants import TEST, Variant
from study.report.words import ends_in_words, in_words, listed
from study.values import count

HEADER = ("label", "one", "two", "seeds", "mean_one", "mean_two",
          "difference", "low", "high", "p", "p_holm")  # fmt: skip
COLUMNS = ("variant", "seeds", "the one", "the other", "difference", "95 % interval",
           "p, corrected")  # fmt: skip
NOTE = "The other less the one, in points of test accuracy at the last epoch, paired by seed."


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

    @property
    def untested(self) -> str:
        """Why there is no p: a paired t test takes differences that vary; empty where there is."""
        if np.isfinite(self.p_holm):
            return ""
        if self.difference.interval.n < 2:
            return "with fewer than two common seeds"
        if self.difference.is_identical:
            return "identical on all common seeds"
        return "with the same difference on all common seeds"

    def row(self) -> list[Any]:
        """A row of sweeps.csv."""
        interval = self.difference.interval
        means = [variant.last(TEST).mean for variant in (self.one, self.two)]
        return [
            self.label, self.one.sweep, self.two.sweep, interval.n, *means,
            *interval[:3], self.difference.p, self.p_holm,
        ]  # fmt: skip

    @property
    def cells(self) -> list[str]:
        """A row of the report's table, under COLUMNS."""
        interval = self.difference.interval
        return [
            self.label,
            str(interval.n),
            *(f"{each.sweep} {in_words(each.last(TEST))}" for each in (self.one, self.two)),
            f"{interval.mean:+z.2f}" if interval.n else "",
            ends_in_words(interval),
            f"{self.p_holm:.2g}" if np.isfinite(self.p_holm) else "",
        ]


@dataclass(frozen=True)
class AcrossSweeps:
    """Several sweeps in sentences, and the configurations that two of them share."""

    sentences: list[str]
    matches: list[Match]

    @property
    def table(self) -> Table:
        return Table(COLUMNS, [match.cells for match in self.matches], NOTE)


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
    """The first of each sweep and kind, and how the configurations that they share compare."""
    best: dict[tuple[str, tuple], Variant] = {}
    for variant in study.order:
        best.setdefault((variant.sweep, variant.kind), variant)
    bests = []
    for variant in best.values():
        kind = study.describe_kind(variant)
        bests.append(
            f"First by its mean in {variant.sweep}{f' with {kind}' if kind else ''}:"
            f" {variant.label.removeprefix(f'{variant.sweep}: ')}, with"
            f" {in_words(variant.last(TEST))} over {count(len(variant.values(TEST)), 'seed')} and"
            f" {variant.parameters['total']:,} parameters."
        )
    if not matches:
        return [*bests, "They share no configuration: what they differ in is in their settings."]
    shared = len({match.one.config for match in matches})
    where = "both sweeps" if len(study.sweeps) == 2 else "more than one sweep"
    words = f"{count(shared, 'configuration')} in {where}"
    if len(matches) > shared:
        words += f", {len(matches)} comparisons of two sweeps"
    return [*bests, f"{words}: {_verdict(matches)} The table has each difference."]


def _verdict(matches: Sequence[Match]) -> str:
    """In how many configurations that two sweeps share they differ significantly."""
    tested = [match for match in matches if not match.untested]
    reasons = Counter(match.untested for match in matches if match.untested)
    others = listed([f"{n} {reason}" for reason, n in reasons.items()])
    if not tested:
        return f"none can be tested ({others})."
    apart = [match for match in tested if match.significant]
    of_tested = f" of the {len(tested)} that can be tested" if reasons else ""
    words = (
        f"the sweeps differ significantly (p < {LEVEL:g} after Holm's correction) in"
        f" {len(apart) or 'none'}{of_tested}"
    )
    if apart:
        words += f"; {_directions(apart)}"
    if reasons:
        words += f"; not tested: {others}"
    return f"{words}."


def _directions(apart: Sequence[Match]) -> str:
    """Of each two sweeps, in how many configurations the one is higher than the other."""
    by_sweeps: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for match in apart:
        by_sweeps[match.one.sweep, match.two.sweep].append(match.difference.interval.mean > 0)
    return listed(
        [
            f"{two} is higher than {one} in {higher.count(True)} and lower in {higher.count(False)}"
            for (one, two), higher in by_sweeps.items()
        ]
    )
