"""Pairs of variants: by how much one is ahead of the other, for the sentences and pairs.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.report import contrasts, stats
from study.report.contrasts import Contrast
from study.report.variants import TEST, Study, Variant

MOST = 20  # variants of a kind, the best first, that are compared with each other
HALF_WIDTH = 0.1  # points: pairs.csv says how many seeds an interval this wide either way takes
HEADER = (
    "one", "two", "seeds", "difference", "low", "high", "p", "family_low", "family_high",
    "family_p", "error", "probability_of_improvement", "images_error", "seeds_for_0.1",
    "seeds_for_0.1_least", "seeds_for_0.1_most",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two variants of a kind: test accuracy at the last epoch, `one` minus `two`.

    difference: the pair by itself. contrast: the pair among all pairs of its kind, which the
    findings go by. images_error: the standard error that the test images give the difference; NaN
    where they are not known.
    """

    one: Variant
    two: Variant
    difference: stats.Difference
    contrast: Contrast
    images_error: float

    def row(self) -> list[Any]:
        """A row of pairs.csv."""
        d, c = self.difference, self.contrast
        deviations = (d.deviation, *stats.deviation_interval(d.deviation, d.interval.n))
        return [
            self.one.label, self.two.label, d.interval.n, *d.interval[:3], d.p,
            c.interval.low, c.interval.high, c.p, "pooled" if c.pooled else "own", d.better,
            self.images_error, *(stats.seeds_for(HALF_WIDTH, each) for each in deviations),
        ]  # fmt: skip


def compare(study: Study) -> list[Pair]:
    """Compare all pairs of the best variants of each kind, and the first with all, the better one
    first."""
    return [pair for family in study.families for pair in _family(family)]


def _family(family: Sequence[Variant]) -> list[Pair]:
    tested = [variant for variant in family if variant.values(TEST)]
    scores = [variant.values(TEST) for variant in tested]
    compared = contrasts.compare(scores, MOST)
    return [
        Pair(
            tested[i], tested[j], stats.difference(scores[i], scores[j]), compared[i, j],
            _images_error(tested[i], tested[j]),
        )
        for i, j in compared
    ]  # fmt: skip


def _images_error(one: Variant, two: Variant) -> float:
    images, common = one.test_images, sorted(one.wrong.keys() & two.wrong.keys())
    if images is None:
        return np.nan
    return stats.images_error(
        [one.wrong[s] for s in common], [two.wrong[s] for s in common], images
    )


def lead(pair: Pair) -> tuple[bool, str, str]:
    """Whether the first of a pair is ahead of the second, by how many points or behind by how many,
    and the ends of the interval of these."""
    mean, low, high = pair.contrast.interval[:3]
    if mean < 0:
        return False, f"{-mean:.2f}", f"{-high:.2f} to {-low:.2f}"
    return True, f"{mean:.2f}", f"{low:.2f} to {high:.2f}"
