"""Statistics of runs: pure functions on arrays.

Accuracies are percent, differences points of percent. Values of one configuration are one a seed;
runs of one seed see the same images in the same order, so differences are paired by seed.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

CONFIDENCE = 0.95
# Points of accuracy: the mean of three seeds at 99.4 may be 99.39999999999999. Values that differ
# by no more are equal, and say nothing of how others would vary.
ROUNDING = 1e-9
LATE = 5  # epochs at the end, of which the lowest accuracy is reported
MOST_SEEDS = 1000
ENOUGH = 10  # seeds from which the interquartile mean has an interval
RESAMPLES = 10_000  # of its bootstrap


class Interval(NamedTuple):
    """A mean over n values and its 95 % interval; low and high are NaN at one value."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def within(self, least: float, most: float) -> "Interval":
        """The interval as far as values can be."""
        return self._replace(low=max(self.low, least), high=min(self.high, most))

    @property
    def prediction(self) -> tuple[float, float]:
        """Student's t prediction interval (Hahn 1969, Journal of Quality Technology 1): one more
        value lies within it 19 times in 20; NaN where there is no interval."""
        half = self.half_width * np.sqrt(self.n + 1)
        return self.mean - half, self.mean + half


class Difference(NamedTuple):
    """One configuration minus another, paired by seed.

    interval: of the mean difference, by t. p: of the paired t test; NaN where the differences do
    not vary. better: the probability that a run of the one beats a run of the other. deviation:
    the standard deviation of the differences; NaN below 2 seeds.
    """

    interval: Interval
    p: float
    better: float
    deviation: float

    @property
    def is_identical(self) -> bool:
        """Whether the two are equal on each of two or more common seeds: there is no test."""
        return self.interval.n > 1 and self.deviation < ROUNDING > abs(self.interval.mean)


def t_quantile(freedom: Any) -> Any:
    """Half the width of the 95 % interval in standard errors, by Student's t: as its argument, one
    number or an array. (Importing scipy's distributions takes longer than drawing a figure.)"""
    return special.stdtrit(freedom, (1 + CONFIDENCE) / 2)


def mean_interval(values: ArrayLike) -> Interval:
    """The mean and its Student t interval (Student 1908, Biometrika 6), over axis 0.

    values: [n]. NaN bounds where n < 2, or all are equal; all NaN where n = 0. How often it covers
    the truth, also where one run in ten fails to learn: docs/statistics.md.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if np.ptp(values) < ROUNDING:
        return Interval(mean, np.nan, np.nan, n)
    half_width = t_quantile(n - 1) * values.std(ddof=1) / np.sqrt(n)
    return Interval(mean, float(mean - half_width), float(mean + half_width), n)


def curve_interval(values: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mean_interval at each epoch: values [n, epochs] -> mean, low, high, each [epochs]."""
    values = np.asarray(values, dtype=float)
    n, mean = len(values), values.mean(axis=0)
    if n < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half_width = t_quantile(n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, mean - half_width, mean + half_width


def difference(one: Mapping[int, float], two: Mapping[int, float]) -> Difference:
    """`one` minus `two`, each seed -> value, paired over the seeds that both have.

    Sources: Student 1908, Biometrika 6; Agarwal et al., 2021 (arXiv 2108.13264), for the
    probability of improvement.
    """
    common = sorted(one.keys() & two.keys())
    values = np.array([one[seed] - two[seed] for seed in common])
    interval, n, p = mean_interval(values), len(values), np.nan
    deviation = float(values.std(ddof=1)) if n > 1 else np.nan
    if np.isfinite(interval.half_width):
        ratio = abs(interval.mean) / (deviation / np.sqrt(n))
        p = 2 * float(special.stdtr(n - 1, -ratio))
    better = probability_of_improvement(list(one.values()), list(two.values()))
    return Difference(interval, p, better, deviation)


def probability_of_improvement(one: ArrayLike, two: ArrayLike) -> float:
    """The share of pairs (a of `one` [n], b of `two` [m]) with a > b, ties by half; NaN without."""
    one, two = np.asarray(one, dtype=float), np.asarray(two, dtype=float)
    if not len(one) or not len(two):
        return np.nan
    above, equal = one[:, None] > two, one[:, None] == two
    return float((above + equal / 2).mean())


def holm(p: ArrayLike) -> np.ndarray:
    """p values [n] corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6);
    NaN counts for none and stays NaN."""
    p = np.asarray(p, dtype=float)
    corrected = np.full_like(p, np.nan)
    order = [i for i in np.argsort(p, kind="stable") if np.isfinite(p[i])]
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected


def interquartile_mean(values: ArrayLike) -> Interval:
    """The mean of the middle half of one or more values [n], with its 95 % percentile bootstrap
    interval from ten values on.

    A run that fails to learn does not move the mean. At ten values it still moves the interval,
    since a resample may hold it three times. Source: Agarwal et al., 2021 (arXiv 2108.13264). The
    resamples are always the same.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    mean = float(_middle_mean(values))
    if n < ENOUGH:
        return Interval(mean, np.nan, np.nan, n)
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, n))
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(_middle_mean(drawn), ends)
    return Interval(mean, float(low), float(high), n)


def _middle_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis without the lowest and the highest quarter."""
    n = values.shape[-1]
    return np.sort(values)[..., n // 4 : n - n // 4].mean(axis=-1)


def deviation_interval(deviation: float, n: int) -> tuple[float, float]:
    """The 95 % chi-square interval of a standard deviation measured on n normal values; NaN where
    n < 2. From three values it spans 0.52 to 6.3 times what was measured."""
    if n < 2:
        return np.nan, np.nan
    ends = special.chdtri(n - 1, np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    low, high = deviation * np.sqrt((n - 1) / ends)
    return float(low), float(high)


def seeds_for(half_width: float, deviation: float) -> float:
    """The fewest seeds whose 95 % t interval has at most this half width, at this standard
    deviation; NaN above 1,000 and where it is not known, or 0."""
    if deviation < ROUNDING:
        return np.nan
    n, quantiles = _quantiles_by_seeds()
    enough = n[quantiles * deviation / np.sqrt(n) <= half_width]
    return float(enough[0]) if len(enough) else np.nan


@functools.cache
def _quantiles_by_seeds() -> tuple[np.ndarray, np.ndarray]:
    """Numbers of seeds from 2 on, and t_quantile of each, which takes longer than all else of a
    row of pairs.csv."""
    n = np.arange(2, MOST_SEEDS + 1)
    return n, t_quantile(n - 1)


def images_error(one: Sequence[ArrayLike], two: Sequence[ArrayLike], images: int) -> float:
    """The standard error, in points, that the choice of test images gives the mean difference of
    two models, beside the error over seeds; 0 where it does not show beside that. See
    images_variance."""
    return float(np.sqrt(np.maximum(images_variance(one, two, images), 0)))


def images_variance(one: Sequence[ArrayLike], two: Sequence[ArrayLike], images: int) -> float:
    """The square of images_error, without bias, and so by chance below 0.

    one, two: for each common seed the indices of the images that the model got wrong. NaN below two
    seeds, which are needed to tell what images do from what runs do, or two images.

    The component of variance of images in a table of images x seeds, which are both drawn at random
    (Searle, Casella and McCulloch 1992, Variance Components, chapter 4): docs/statistics.md.
    """
    seeds = len(one)
    if seeds < 2 or images < 2:
        return np.nan
    score = np.zeros((seeds, images))  # by how many points `one` is ahead on an image
    for row, wrong_one, wrong_two in zip(score, one, two):
        row[np.asarray(wrong_one, dtype=int)] -= 100
        row[np.asarray(wrong_two, dtype=int)] += 100
    score -= score.mean(axis=1, keepdims=True)  # how far seeds are ahead is the seeds' own
    by_image = score.mean(axis=0)
    flips = ((score - by_image) ** 2).sum() / (images - 1) / (seeds - 1)
    return float((by_image.var(ddof=1) - flips / seeds) / images)


def chance_of_at_most(count: int, figures: int) -> float:
    """The chance that at most so many of some figures lie in their 95 % prediction intervals, where
    each is one more run of its kind and they are independent (binomial)."""
    return float(special.bdtr(count, figures, CONFIDENCE))


def first_epoch_at_target(
    curve: Sequence[float], epochs: Sequence[int], target: float
) -> int | None:
    """The first epoch from which on a curve stays at or above a target; None where it never does
    so to its end."""
    first = None
    for epoch, value in zip(epochs, curve):
        if not value >= target - ROUNDING:
            first = None
        elif first is None:
            first = epoch
    return first
