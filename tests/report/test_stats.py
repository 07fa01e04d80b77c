import numpy as np
import pytest
from scipy import stats as scipy_stats

from study.report import stats


def test_the_mean_has_scipys_t_interval():
    values = [99.31, 99.42, 99.38, 99.35]
    ours = stats.mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert (ours.mean, ours.low, ours.high, ours.n) == pytest.approx(
        (np.mean(values), low, high, 4)
    )
    assert ours.half == pytest.approx((high - low) / 2)


def test_one_value_has_no_interval_and_none_no_mean():
    one = stats.mean_interval([99.4])
    assert one.mean == 99.4 and np.isnan(one.low) and np.isnan(one.high)
    none = stats.mean_interval([])
    assert np.isnan(none.mean) and none.n == 0


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        (found := stats.mean_interval(rng.normal(99.4, 0.05, 3))).low <= 99.4 <= found.high
        for _ in range(2000)
    ]
    assert 0.935 < np.mean(hits) < 0.965


def test_a_curves_interval_is_the_interval_at_each_epoch():
    values = np.random.default_rng(1).normal(size=(5, 7))
    mean, low, high = stats.curve_interval(values)
    assert mean.shape == low.shape == high.shape == (7,)
    third = stats.mean_interval(values[:, 2])
    assert (mean[2], low[2], high[2]) == pytest.approx(third[:3])


def test_the_binomial_error_of_the_test_set():
    assert stats.binomial_error(99.5, 10_000) == pytest.approx(0.0705, abs=1e-3)
    assert stats.binomial_error(84, 10_000) == pytest.approx(0.367, abs=1e-3)
