"""Pairs of variants: by how much one is ahead of the other, for the sentences and pairs.csv."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.metrics import Metric
from study.report import contrasts, stats
from study.report.contrasts import Contrast
from study.report.study import Study
from study.report.variants import TEST, Variant
from study.report.words import TEST_ACCURACY
from study.values import count

MOST = 20  # variants of a kind, the best first, that are compared with each other
UNLIKE = "over seeds that are not the same for all"  # of means that are ranked all the same
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
    return [pair for family in study.distinct_families for pair in _family(family)]


def _family(family: Sequence[Variant]) -> list[Pair]:
    tested = [variant for variant in family if variant.values(TEST)]
    scores = [variant.values(TEST) for variant in tested]
    compared = contrasts.compare(scores, MOST)
    return [
        Pair(
            tested[i], tested[j], stats.difference(scores[i], scores[j]),
            within_bounds(compared[i, j]), _images_error(tested[i], tested[j]),
        )
        for i, j in compared
    ]  # fmt: skip


def within_bounds(contrast: Contrast, metric: Metric = TEST_ACCURACY) -> Contrast:
    """A contrast of accuracies, which differ by at most 100 points; of another metric as it is."""
    if not metric.is_accuracy:
        return contrast
    return contrast._replace(interval=contrast.interval.within(-100, 100))


def _images_error(one: Variant, two: Variant) -> float:
    images, common = one.test_images, sorted(one.wrong.keys() & two.wrong.keys())
    if images is None:
        return np.nan
    return stats.images_error(
        [one.wrong[s] for s in common], [two.wrong[s] for s in common], images
    )


def have_same_seeds(study: Study, family: Sequence[Variant]) -> bool:
    """Whether the means that rank the variants of a kind are over the same seeds. Else the first
    may be first by its seeds alone."""
    return len({frozenset(variant.values(study.rank_key)) for variant in family}) == 1


def overtaking(study: Study, family: Sequence[Variant]) -> dict[str, int]:
    """The variants that are ahead of the first of their kind over the seeds that both have, by the
    metric that ranks, whatever the means over each one's own: label -> how many those seeds are."""
    ahead, one = {}, family[0].values(study.rank_key)
    for other in family[1:]:
        two = other.values(study.rank_key)
        common = one.keys() & two.keys()
        gains = [two[seed] - one[seed] for seed in common]
        if common and np.mean(gains) * (1 if study.metric.maximize else -1) > stats.ROUNDING:
            ahead[other.label] = len(common)
    return ahead


def over_common(seeds: Collection[int]) -> str:
    """In words over how many common seeds, given for each comparison."""
    low, high = min(seeds), max(seeds)
    return f"over {f'{low} to ' if low < high else ''}{count(high, 'common seed')}"


def lead(pair: Pair) -> tuple[bool, str, str]:
    """Whether the first of a pair is ahead of the second, by how many points or behind by how many,
    and the ends of the interval of these."""
    mean, low, high = pair.contrast.interval[:3]
    if mean < 0:
        return False, f"{-mean:.2f}", f"{-high:.2f} to {-low:.2f}"
    return True, f"{mean:.2f}", f"{low:.2f} to {high:.2f}"
