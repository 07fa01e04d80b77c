"""Figures in words: intervals, p values, lists and counts, as sentences and tables write them."""

from collections.abc import Sequence

import numpy as np

from study.metrics import Metric
from study.report import stats

MOST_NAMED = 8  # words of a list in a sentence
TEST_ACCURACY = Metric.named("test/accuracy")


def in_cell(interval: stats.Interval, metric: Metric = TEST_ACCURACY) -> str:
    """A metric in the cell of a table: its mean, and half its interval where it has one."""
    if np.isnan(interval.mean):
        return "unknown"
    half = f" ± {metric.format(interval.half_width)}" if np.isfinite(interval.half_width) else ""
    return f"{metric.format(interval.mean)}{half}"


def in_words(interval: stats.Interval, metric: Metric = TEST_ACCURACY) -> str:
    """A metric in a sentence: as in a cell, with its unit."""
    unit = "" if np.isnan(interval.mean) else metric.unit
    return in_cell(interval, metric) + unit


def ends_in_words(interval: stats.Interval) -> str:
    """The ends of the interval of a difference of accuracies; empty where it has none."""
    if np.isnan(interval.low):
        return ""
    return f"{interval.low:+.2f} to {interval.high:+.2f}"  # -0.00: it holds 0


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
