"""Limits of an axis of accuracy or loss, chosen so that the best variants can be told apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from study.metrics import Metric
from study.report import stats
from study.report.stats import Interval

CONTENDER = 8  # a variant whose error is over so many times the least may lie outside the axis
SPIKES = 0.05  # share of the late values, at either end, that may lie outside
MARGIN = 0.08
FULL = 0.6  # of a graph: what all bands together may cover
ACCURACY, LOSS = 100.0, 0.0  # the perfect value of each, from which its errors are counted


def perfect_value(metric: Metric) -> float:
    """The perfect value of a metric."""
    return ACCURACY if metric.is_accuracy else LOSS


def contenders(values: Sequence[float], perfect: float = ACCURACY) -> list[int]:
    """The indices of the values whose error is not many times the least error."""
    errors = np.abs(perfect - np.asarray(values, dtype=float))
    least = max(np.nanmin(errors), perfect / 1000)  # at 100 % any other error would be too many
    return np.flatnonzero(errors <= CONTENDER * least).tolist()


def limits(
    curves: Sequence[ArrayLike], bounds: ArrayLike = (), perfect: float = ACCURACY
) -> tuple[float, float]:
    """The least and the greatest value to show: the later half of curves, and bounds.

    A single value is a curve of one epoch. The last value of each curve is inside; a spike before
    it may not be. bounds: the ends of intervals. Wide ones, as two seeds give, may leave the axis:
    they widen it no more than to three times the range of the values, or to one and a half times
    the median interval. NaN is left out.
    """
    values = [np.asarray(curve, dtype=float) for curve in curves]
    late = np.concatenate([curve[len(curve) // 2 :] for curve in values])
    last = [curve[-1] for curve in values]
    low = np.nanmin([np.nanquantile(late, SPIKES), *last])
    high = np.nanmax([np.nanquantile(late, 1 - SPIKES), *last])
    ends = np.asarray(bounds, dtype=float)
    ends = ends[np.isfinite(ends)]
    if len(ends):
        middle = (low + high) / 2
        room = 1.5 * max(high - low, np.median(abs(ends - middle)))
        ends = ends.clip(middle - room, middle + room)
        low, high = min(low, ends.min()), max(high, ends.max())
    low, high = max(low, 0), min(high, perfect or np.inf)
    margin = MARGIN * (high - low) or 0.01
    return float(low - margin), float(high + margin)


def point_limits(
    scores: Sequence[Interval], perfect: float = ACCURACY
) -> tuple[list[int], tuple[float, float]]:
    """The indices of the contenders among means, and the limits that show them and their
    intervals."""
    inside = contenders([score.mean for score in scores], perfect)
    bounds = [bound for i in inside for bound in (scores[i].low, scores[i].high)]
    return inside, limits([[scores[i].mean] for i in inside], bounds, perfect)


def curve_limits(
    seeds: Sequence[np.ndarray], perfect: float, peaks: Sequence[float] = ()
) -> tuple[tuple[float, float], bool]:
    """The limits for curves, each of its seeds [seeds, epochs], and whether their 95 % bands leave
    room to see the lines; else the limits are those for lines of the seeds. peaks: also inside."""
    curves = [stats.curve_interval(each) for each in seeds]
    means = [mean for mean, _, _ in curves]
    edges = [edge[-1] for _, *band in curves for edge in band]
    window = limits(means, [*peaks, *edges], perfect)
    if leave_room([(low, high) for _, low, high in curves], window):
        return window, True
    ends = [end for each in seeds for end in each[:, -1]]
    return limits(means, [*peaks, *ends], perfect), False


def leave_room(bands: Sequence[tuple[np.ndarray, np.ndarray]], window: tuple[float, float]) -> bool:
    """Whether bands leave room to see the lines: those of the later half of the epochs, each its
    lower and upper edges, cover together no more than FULL of the graph. NaN is left out."""
    low, high = window
    share = 0.0
    for lower, upper in bands:
        late = slice(len(lower) // 2, None)
        heights = np.clip(upper[late], low, high) - np.clip(lower[late], low, high)
        if np.isfinite(heights).any():
            share += float(np.nanmean(heights)) / (high - low)
    return share <= FULL
