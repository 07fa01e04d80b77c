"""Every two variants compared, with seeds as blocks: few seeds, but all variants share the error.

Accuracies follow the additive model of randomized blocks: variant + seed + error. Its error is
pooled over the variants, so that three variants of three seeds have four degrees of freedom where
a pair alone has two. What this gains, and where it errs: docs/statistics.md.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from study.report.stats import CONFIDENCE, ROUNDING, Interval, mean_interval

LEVEL = 1 - CONFIDENCE  # chance that any two equal variants of a family differ significantly
NODES = 64  # of the quadratures: the chance is right to 3e-5 of 20 variants, to 1e-4 of 100
WIDEST = 8.0  # standard deviations from the mean over which the range is integrated
Scores = Mapping[int, float]  # seed -> accuracy


class Contrast(NamedTuple):
    """The mean difference of two variants over their common seeds, beside all other pairs.

    interval: NaN bounds where the error is not known; in 95 % of studies all those of a family
    hold together. p: of all pairs, below 0.05 just where the interval excludes 0. pooled: whether
    the error is the family's; else it is the pair's own. alike: whether the seeds of both spread
    like those of the rest.
    """

    interval: Interval
    p: float
    pooled: bool
    alike: bool = True

    @property
    def tested(self) -> bool:
        """Whether the seeds of the two are enough, and tell them apart."""
        return not np.isnan(self.p)

    @property
    def significant(self) -> bool:
        return self.p < LEVEL

    @property
    def level(self) -> bool:
        """Whether the two are tested, and no difference is seen that should have been seen."""
        return self.p >= LEVEL and self.alike

    @property
    def unclear(self) -> bool:
        """Whether no difference is seen because the seeds of one spread too much to see any."""
        return self.p >= LEVEL and not self.alike


def compare(scores: Sequence[Scores], few: int | None = None) -> dict[tuple[int, int], Contrast]:
    """Compare every two variants, each seed -> accuracy; by their indices, the lower one first.

    Where only the pairs of the first `few` are asked for, and those of the very first with any,
    they stand among all pairs as any other.

    Pairs of variants of like spread are tested by Tukey's studentized range of all variants, with
    the pooled error, or the pair's own where that is larger. Pairs with a variant of larger spread
    are tested by their own t, with Bonferroni's correction for all pairs.

    Sources: Tukey 1953 (The problem of multiple comparisons); Kramer 1956 (Biometrics 12), where
    seeds are missing.
    """
    indices = range(len(scores))
    pairs = {
        (i, j): np.array([scores[i][seed] - scores[j][seed] for seed in sorted(common)])
        for i in indices
        for j in indices[i + 1 : few if i else None]
        for common in [scores[i].keys() & scores[j].keys()]
    }
    variants = sum(len(values) > 1 for values in scores)
    tests = variants * (variants - 1) // 2
    alike = of_like_spread(scores)
    deviation, freedom = pooled_deviation([scores[i] for i in alike])
    contrasts = {}
    for (i, j), differences in pairs.items():
        both = {i, j} <= set(alike)
        if freedom and both:
            contrast = _by_range(differences, deviation, variants, freedom)
        else:
            contrast = _by_own_error(differences, tests)
        contrasts[i, j] = contrast._replace(alike=both)
    return contrasts


def of_like_spread(scores: Sequence[Scores]) -> list[int]:
    """The indices of the variants whose errors may be pooled: two seeds or more, like spread.

    While the variance of one is too large beside that of the others together (F test at 5 %,
    corrected for their number), it is set aside. With equal numbers of seeds this is Cochran's C
    test (1941, Annals of Eugenics 11). Of two variants none is set aside: a pair has one error.
    """
    alike = [i for i, values in enumerate(scores) if len(values) > 1]
    squares = {i: float(len(scores[i]) * np.var(list(scores[i].values()))) for i in alike}
    freedom = {i: len(scores[i]) - 1 for i in alike}
    while len(alike) > 2:
        widest = max(alike, key=lambda i: squares[i] / freedom[i])
        others = [i for i in alike if i != widest]
        rest, rest_freedom = sum(squares[i] for i in others), sum(freedom[i] for i in others)
        level = LEVEL / len(alike)
        if not stands_out(squares[widest], freedom[widest], rest, rest_freedom, level):
            break
        alike = others
    return alike


def pooled_deviation(scores: Sequence[Scores]) -> tuple[float, int]:
    """The standard deviation of the additive model's error, by least squares, and its degrees of
    freedom; NaN and 0 where nothing is left to estimate it from."""
    cells = [(i, seed, y) for i, values in enumerate(scores) for seed, y in values.items()]
    if len(scores) < 2:
        return np.nan, 0
    variants, seeds, y = (np.array(column) for column in zip(*cells))
    design = np.hstack(
        [variants[:, None] == np.unique(variants), seeds[:, None] == np.unique(seeds)]
    )
    y = y - y.mean()
    fit, _, rank, _ = np.linalg.lstsq(design.astype(float), y, rcond=None)
    freedom = len(y) - int(rank)
    if freedom == 0:
        return np.nan, 0
    return float(np.sqrt(((y - design @ fit) ** 2).sum() / freedom)), freedom


def _by_range(differences: np.ndarray, deviation: float, variants: int, freedom: int) -> Contrast:
    """A pair by the studentized range of so many variants."""
    n = len(differences)
    if n < 2:
        return Contrast(mean_interval(differences), np.nan, True)
    pooled, own = deviation * np.sqrt(2 / n), differences.std(ddof=1) / np.sqrt(n)
    error, mean = max(pooled, own), float(differences.mean())
    if error < ROUNDING:
        return Contrast(Interval(mean, np.nan, np.nan, n), np.nan, True)
    half = critical_range(variants, freedom) * error / np.sqrt(2)
    p = range_probability(np.sqrt(2) * abs(mean) / error, variants, freedom)
    return Contrast(Interval(mean, mean - half, mean + half, n), float(p), bool(pooled >= own))


def _by_own_error(differences: np.ndarray, tests: int) -> Contrast:
    """A pair by its own t, corrected for so many tests."""
    own = mean_interval(differences)
    if np.isnan(own.low):
        return Contrast(own, np.nan, False)
    mean, n = own.mean, own.n
    error = differences.std(ddof=1) / np.sqrt(n)
    half = float(-special.stdtrit(n - 1, LEVEL / 2 / tests) * error)
    p = min(1.0, 2 * tests * float(special.stdtr(n - 1, -abs(mean) / error)))
    return Contrast(Interval(mean, mean - half, mean + half, n), p, False)


def range_probability(q: ArrayLike, variants: int, freedom: int) -> np.ndarray:
    """The chance of a studentized range above q [...] (scipy's takes 50 ms a value).

    Source: Copenhaver and Holland 1988 (Journal of Statistical Computation and Simulation 30): the
    mean over the error's deviation s of k times the integral of phi(z) (Phi(z) - Phi(z - q s))^(k -
    1) dz.
    """
    z, density, deviation, weights = _nodes(freedom)
    width = np.multiply.outer(np.asarray(q, dtype=float), deviation)[..., None]
    inside = (special.ndtr(z) - special.ndtr(z - width)) ** (variants - 1) @ density
    return np.clip(1 - variants * (inside @ weights), 0, 1)


@functools.cache
def _nodes(freedom: int) -> tuple[np.ndarray, ...]:
    """The nodes and weights of both quadratures: z with phi(z), the deviations with theirs."""
    x, weights = np.polynomial.legendre.leggauss(NODES)
    z = WIDEST * x
    density = WIDEST * weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    deviation = np.sqrt(2 * special.gammaincinv(freedom / 2, (1 + x) / 2) / freedom)
    return z, density, deviation, weights / 2


@functools.cache
def critical_range(variants: int, freedom: int) -> float:
    """The studentized range that so many equal variants exceed in 5 % of studies."""
    return optimize.brentq(lambda q: range_probability(q, variants, freedom) - LEVEL, 0, 1e3)


def stands_out(squares: float, freedom: int, rest: float, rest_freedom: int, level: float) -> bool:
    """Whether a variance is larger than that of the rest (F test at this level): of each the sum of
    squares and its degrees of freedom. A rest without any says nothing."""
    # A product of four, so that variances of 0 need no case of their own.
    one, two = squares * rest_freedom, rest * freedom
    return bool(rest_freedom) and bool(one > _critical_ratio(level, freedom, rest_freedom) * two)


@functools.cache
def _critical_ratio(level: float, one: int, two: int) -> float:
    return float(special.fdtri(one, two, 1 - level))
