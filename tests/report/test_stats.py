"""Each statistic against scipy, a published example or a simulation whose truth is known."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from study.report import stats

STUDIES = 1000


def seeds(values) -> dict[int, float]:
    return dict(enumerate(values, 1))


def test_the_mean_has_scipys_t_interval():
    values = [99.31, 99.42, 99.38, 99.35]
    ours = stats.mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert (ours.mean, ours.low, ours.high, ours.n) == pytest.approx(
        (np.mean(values), low, high, 4)
    )
    assert ours.half_width == pytest.approx((high - low) / 2)


def test_one_value_has_no_interval_and_none_no_mean():
    one = stats.mean_interval([99.4])
    assert one.mean == 99.4 and np.isnan(one.low) and np.isnan(one.high)
    none = stats.mean_interval([])
    assert np.isnan(none.mean) and none.n == 0


def steady(rng, n):
    """Accuracies near 99.4 % as a test set of 10,000 images rounds them."""
    return np.round(rng.normal(99.4, 0.06, n), 2)


def unsteady(rng, n):
    """One seed in ten fails to learn: a mean of 90.46 %."""
    return np.where(rng.random(n) < 0.1, 10.0, rng.normal(99.4, 0.06, n))


@pytest.mark.parametrize(
    ("draw", "truth", "seeds", "low", "high"),
    [
        (steady, 99.4, 3, 0.93, 0.97),
        (steady, 99.4, 5, 0.93, 0.97),
        (steady, 99.4, 10, 0.93, 0.97),
        (unsteady, 90.46, 3, 0.20, 0.35),
        (unsteady, 90.46, 5, 0.35, 0.50),
        (unsteady, 90.46, 10, 0.58, 0.72),
    ],
)
def test_how_often_the_interval_covers_the_truth(draw, truth, seeds, low, high):
    rng = np.random.default_rng(0)
    found = [stats.mean_interval(draw(rng, seeds)) for _ in range(STUDIES)]
    share = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert low <= share <= high


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_how_often_one_more_value_is_in_the_prediction_interval(seeds):
    draws = np.random.default_rng(0).normal(99.4, 0.05, (2000, seeds + 1))
    found = [stats.mean_interval(draw[1:]) for draw in draws]
    share = np.mean(
        [abs(draw[0] - one.mean) <= one.prediction_half_width for draw, one in zip(draws, found)]
    )
    assert 0.935 <= share <= 0.965


def test_a_curves_interval_is_the_interval_at_each_epoch():
    values = np.random.default_rng(1).normal(size=(5, 7))
    mean, low, high = stats.curve_interval(values)
    assert mean.shape == low.shape == high.shape == (7,)
    third = stats.mean_interval(values[:, 2])
    assert (mean[2], low[2], high[2]) == pytest.approx(third[:3])
    _, low, _ = stats.curve_interval(values[:1])
    assert np.isnan(low).all()


def test_a_difference_is_scipys_paired_t_test_over_common_seeds():
    one, two = [99.4, 99.5, 99.45, 99.38], [99.2, 99.35, 99.3, 99.31]
    ours = stats.difference(seeds(one) | {9: 0.0}, seeds(two) | {8: 100.0})
    theirs = scipy_stats.ttest_rel(one, two)
    low, high = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.interval == pytest.approx((np.mean(one) - np.mean(two), low, high, 4))


def test_pairing_finds_what_the_spread_of_seeds_hides():
    rng = np.random.default_rng(2)
    base = rng.normal(99, 1, 6)
    one, two = base + 0.2 + rng.normal(0, 0.05, 6), base
    assert stats.difference(seeds(one), seeds(two)).p < 0.01
    assert scipy_stats.ttest_ind(one, two).pvalue > 0.5


@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.3], [0.0, 0.0, 0.0]])
def test_differences_that_do_not_vary_have_no_p(values):
    ours = stats.difference(seeds(values), seeds([0.0] * len(values)))
    assert np.isnan(ours.p)


def test_the_test_rejects_a_true_null_as_often_as_it_says():
    draws = np.random.default_rng(4).normal(0, 0.1, (300, 8))
    p = [stats.difference(seeds(row), seeds(np.zeros(8))).p for row in draws]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09


def test_holms_correction():
    # By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, then never less than the one before.
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.5, np.nan, 0.9]) == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert len(stats.holm([])) == 0


def test_holm_keeps_the_chance_of_any_false_finding():
    rng = np.random.default_rng(6)
    false = [np.nanmin(stats.holm(rng.random(10))) < 0.05 for _ in range(STUDIES)]
    assert 0.03 <= np.mean(false) <= 0.07


def test_the_probability_of_improvement_is_the_share_of_pairs():
    assert stats.probability_of_improvement([3, 1], [2, 1]) == pytest.approx((2 + 0.5) / 4)
    assert stats.probability_of_improvement([5, 6], [1]) == 1
    assert np.isnan(stats.probability_of_improvement([], [1]))


def test_the_seeds_needed_find_the_difference_in_eight_of_ten_studies():
    needed = stats.seeds_needed(0.1, 0.15)
    rng = np.random.default_rng(7)
    draws = rng.normal(0.1, 0.15, (4000, int(needed)))
    assert 0.78 <= (scipy_stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() <= 0.84
    assert stats.seeds_needed(10, 0.01) == 2
    assert stats.seeds_needed(0.1, 0.15, level=0.005) > needed
    assert np.isnan(stats.seeds_needed(0, 0.1)) and np.isnan(stats.seeds_needed(1e-6, 1))


def test_the_share_of_the_last_five_epochs_at_a_target():
    curves = [[90, 99.5, 99.3, 99.4, 99.5, 99.6], [91, 99.2, 99.4, 99.4, 99.5, 99.5]]
    assert stats.share_at_target(curves, 99.4) == pytest.approx(8 / 10)


def test_the_first_epoch_from_which_a_curve_stays_at_a_target():
    epochs = [1, 2, 3, 4]
    assert stats.first_epoch_at_target([99, 99.5, 99.3, 99.4], epochs, 99.4) == 4
    assert stats.first_epoch_at_target([99, 99.5, 99.4, 99.4], epochs, 99.4) == 2
    assert stats.first_epoch_at_target([99.5, 99.5, 99.5, 99.3], epochs, 99.4) is None
    assert stats.first_epoch_at_target([99.5, np.nan, 99.5, 99.5], epochs, 99.4) == 3


def test_the_binomial_error_of_the_test_set():
    assert stats.binomial_error(99.5, 10_000) == pytest.approx(0.0705, abs=1e-3)
    assert stats.binomial_error(84, 10_000) == pytest.approx(0.367, abs=1e-3)
