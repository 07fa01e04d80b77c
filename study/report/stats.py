"""Statistics of runs: pure functions on arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over n values and its 95 % interval; low and high are NaN at one value."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: ArrayLike) -> Interval:
    """The mean and its Student t interval (Student 1908, Biometrika 6), over axis 0.

    values: [n]. NaN bounds where n < 2; all NaN where n = 0.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, np.nan, np.nan, 1)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return Interval(mean, float(mean - reach), float(mean + reach), n)


def curve_interval(values: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mean_interval at each epoch: values [n, epochs] -> mean, low, high, each [epochs]."""
    points = [mean_interval(column) for column in np.asarray(values, dtype=float).T]
    mean, low, high, _ = np.array(points).T
    return mean, low, high


def binomial_error(accuracy: float, images: int) -> float:
    """The standard error, in points, of an accuracy in percent measured on so many images."""
    share = accuracy / 100
    return 100 * float(np.sqrt(share * (1 - share) / images))
