"""Each statistic against scipy, a published example or a simulation whose truth is known."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from study.report import stats
from tests.benchmarks.statistics import coverage, failing, middle_of_failing, one_more, steady

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


def test_one_value_and_equal_ones_have_no_interval_and_none_no_mean():
    one = stats.mean_interval([99.4])
    assert one.mean == 99.4 and np.isnan(one.low) and np.isnan(one.high)
    for last in (99.4, 99.4 + 1e-12):  # equal but for rounding: nothing of how others vary
        alike = stats.mean_interval([99.4, 99.4, last])
        assert alike.n == 3 and alike.mean == pytest.approx(99.4) and np.isnan(alike.half_width)
    none = stats.mean_interval([])
    assert np.isnan(none.mean) and none.n == 0


@pytest.mark.parametrize(
    ("draw", "truth", "seeds", "low", "high"),
    [
        (steady, 99.4, 3, 0.93, 0.97),
        (steady, 99.4, 5, 0.93, 0.97),
        (steady, 99.4, 10, 0.93, 0.97),
        (failing, 90.46, 3, 0.20, 0.35),
        (failing, 90.46, 5, 0.35, 0.50),
        (failing, 90.46, 10, 0.58, 0.72),
    ],
)
def test_how_often_the_interval_covers_the_truth(draw, truth, seeds, low, high):
    assert low <= coverage(stats.mean_interval, draw, truth, seeds, STUDIES) <= high


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_how_often_one_more_value_is_in_the_prediction_interval(seeds):
    in_mean, in_prediction = one_more(seeds, 2 * STUDIES)
    assert 0.935 <= in_prediction <= 0.965
    # Its distance from the mean has n + 1 times the variance of the mean.
    t = scipy_stats.t.ppf(0.975, seeds - 1) / np.sqrt(seeds + 1)
    assert in_mean == pytest.approx(2 * scipy_stats.t.cdf(t, seeds - 1) - 1, abs=0.035)


@pytest.mark.parametrize(("draw", "truth"), [(steady, 99.4), (failing, middle_of_failing())])
def test_how_often_the_interquartile_means_interval_covers_the_truth(draw, truth):
    assert 0.88 <= coverage(stats.interquartile_mean, draw, truth, 10, 200) <= 0.975


def test_the_interquartile_mean_leaves_out_a_failed_run():
    values = [99.4, 99.5, 99.3, 99.45, 99.35, 99.42, 99.38, 99.41, 99.39, 10.0]
    found = stats.interquartile_mean(values)
    assert found.mean == pytest.approx(np.mean(sorted(values)[2:8]))
    assert found.low < 99.3 < found.mean < found.high < 99.5  # a resample may hold it three times
    assert stats.interquartile_mean(values[:9] * 2 + [10.0]).low > 99.3
    assert found == stats.interquartile_mean(values)  # the same again
    few = stats.interquartile_mean(values[:9])
    assert np.isnan(few.low) and few.n == 9


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


@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.3], [0.3, 0.1 + 0.2], [0.0, 0.0, 0.0]])
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


def test_a_deviations_interval_holds_it_19_times_in_20():
    draws = np.random.default_rng(5).normal(0, 0.1, (STUDIES, 3)).std(axis=1, ddof=1)
    found = [stats.deviation_interval(each, 3) for each in draws]
    assert 0.93 <= np.mean([low <= 0.1 <= high for low, high in found]) <= 0.97
    low, high = stats.deviation_interval(1.0, 3)
    assert (low, high) == pytest.approx((0.5207, 6.2847), abs=1e-4)
    assert np.isnan(stats.deviation_interval(1.0, 1)).all()


def test_the_seeds_for_a_half_width_are_the_fewest():
    def half_width(n: int) -> float:
        return scipy_stats.t.ppf(0.975, n - 1) * 0.15 / np.sqrt(n)

    n = int(stats.seeds_for(0.1, 0.15))
    assert half_width(n) <= 0.1 < half_width(n - 1)
    assert stats.seeds_for(0.1, 0.005) == 2
    assert np.isnan(stats.seeds_for(0.1, 0.0))  # of seeds that are all alike
    assert np.isnan(stats.seeds_for(0.1, 10)) and np.isnan(stats.seeds_for(0.1, np.nan))


def test_the_test_images_error_is_mcnemars_where_seeds_agree():
    one, two = [1, 2, 3, 4, 5, 6], [4, 5, 6, 7]  # 3 and 1 that the other gets right
    images = 1000
    error = stats.images_error([one] * 3, [two] * 3, images)
    assert error == pytest.approx(100 * np.sqrt(4 - 2**2 / images) / np.sqrt(999 * images))
    assert stats.images_error([one] * 3, [one] * 3, images) == 0
    assert stats.images_error([one, two], [two, one], images) == 0  # below 0, by chance
    for few in ([], [one]):  # one seed cannot tell images from runs
        assert np.isnan(stats.images_error(few, few, images))
    assert np.isnan(stats.images_error([[0]] * 2, [[]] * 2, 1))  # and no warning


def test_the_test_images_variance_is_that_of_a_two_way_analysis_of_variance():
    rng, images, seeds = np.random.default_rng(9), 400, 3
    one, two = rng.random((2, seeds, images)) < rng.beta(0.1, 1, (2, 1, images))
    x = 100 * (two.astype(float) - one)
    columns = [np.repeat(np.arange(seeds), images), np.tile(np.arange(images), seeds)]
    design = np.hstack([column[:, None] == np.unique(column) for column in columns]).astype(float)
    fit = design @ np.linalg.lstsq(design, x.ravel(), rcond=None)[0]
    rest = ((x.ravel() - fit) ** 2).sum() / (images - 1) / (seeds - 1)
    of_images = seeds * x.mean(axis=0).var(ddof=1)  # both expected mean squares
    indices = [[np.flatnonzero(seed) for seed in model] for model in (one, two)]
    found = stats.images_variance(*indices, images)
    assert found == pytest.approx((of_images - rest) / seeds / images)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("alike", [True, False])
def test_the_test_images_variance_is_that_of_the_images_alone(seeds, alike):
    """Models that find the same images hard owe all their difference to the runs; others differ on
    the images, too. That a seed is worse on all images is the seed's own."""
    rng, images, studies, worst = np.random.default_rng(8), 1000, 400, 0.04
    found, totals, over_seeds = [], [], []
    for _ in range(studies):
        hard = rng.beta(0.1, 1, (2, 1, images))  # the chance that a model gets an image wrong
        worse = rng.uniform(0, worst, (2, seeds, 1))
        chance = worse + (1 - worse) * (hard[[0, 0]] if alike else hard)
        wrong = rng.random((2, seeds, images)) < chance
        indices = [[np.flatnonzero(seed) for seed in model] for model in wrong]
        found.append(stats.images_variance(*indices, images))
        by_seed = 100 * (wrong[0].mean(axis=1) - wrong[1].mean(axis=1))
        totals.append(by_seed.mean())
        over_seeds.append(by_seed.var(ddof=1) / seeds)
    spread = 0.1 / 1.1**2 / 2.1 * (1 - worst / 2) ** 2  # that of Beta(0.1, 1), with the worse seeds
    truth = 0 if alike else 100**2 * 2 * spread / images
    error = np.std(found) / np.sqrt(studies)
    assert np.mean(found) == pytest.approx(truth, abs=4 * error) and error < 0.01
    # With the variance over seeds it makes that of the mean over new images and new seeds.
    both = np.mean(found) + np.mean(over_seeds)
    assert both == pytest.approx(np.var(totals), rel=0.25)


def test_the_chance_of_so_few_in_their_prediction_intervals():
    assert stats.chance_of_at_most(2, 3) == pytest.approx(1 - 0.95**3)
    assert stats.chance_of_at_most(3, 3) == 1


def test_the_first_epoch_from_which_a_curve_stays_at_a_target():
    epochs = [1, 2, 3, 4]
    assert stats.first_epoch_at_target([99, 99.5, 99.3, 99.4], epochs, 99.4) == 4
    assert stats.first_epoch_at_target([99, 99.5, 99.4, 99.4], epochs, 99.4) == 2
    assert stats.first_epoch_at_target([99.5, 99.5, 99.5, 99.3], epochs, 99.4) is None
    assert stats.first_epoch_at_target([99.5, np.nan, 99.5, 99.5], epochs, 99.4) == 3
    mean = np.mean([99.27, 99.42, 99.51])
    assert mean < 99.4 and stats.first_epoch_at_target([mean], [1], 99.4) == 1


@pytest.mark.parametrize("n", [2, 3, 10, 33])
def test_each_is_scipys_test_with_ties_too(n):
    drawn = np.random.default_rng(n).normal(99, 0.5, (2, n)).round(3)
    one, two = drawn[0], np.append(drawn[1], drawn[0][0])
    found = stats.difference(seeds(one), seeds(two))
    assert found.p == pytest.approx(scipy_stats.ttest_rel(one, two[:n]).pvalue)
    u = scipy_stats.mannwhitneyu(one, two).statistic
    assert found.better == pytest.approx(u / n / (n + 1))
    assert stats.interquartile_mean(one).mean == scipy_stats.trim_mean(one, 0.25)
    ends = np.sqrt((n - 1) / scipy_stats.chi2.ppf([0.975, 0.025], n - 1))
    assert stats.deviation_interval(1.0, n) == pytest.approx(tuple(ends))
    chance = scipy_stats.binom.cdf(n - 1, n, 0.95)
    assert stats.chance_of_at_most(n - 1, n) == pytest.approx(chance)
