"""Figures in words: intervals, p values, lists and counts, as sentences and tables write them."""

from collections.abc import Sequence

import numpy as np

from study.planned import Metric, default_metric
from study.report import stats

MOST_NAMED = 8  # words of a list in a sentence


def percent(interval: stats.Interval) -> str:
    """An accuracy in words: its mean, and half its interval where it has one."""
    return in_words(interval, default_metric(False))


def in_words(interval: stats.Interval, metric: Metric) -> str:
    """A metric in words: its mean, and half its interval where it has one."""
    if np.isnan(interval.mean):
        return "unknown"
    half = f" ± {metric.format(interval.half_width)}" if np.isfinite(interval.half_width) else ""
    return f"{metric.format(interval.mean)}{half}{' %' if metric.is_accuracy else ''}"


def format_p(p: float) -> str:
    """A p value as text."""
    if np.isnan(p):
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence, the first few of many."""
    separator = "; " if any("," in word for word in words) else ", "
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return separator.join(words[:MOST_NAMED]) + more
