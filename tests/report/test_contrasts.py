"""Contrasts against scipy, by hand, and in simulated studies whose truth is known."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from study.report import contrasts
from study.report.contrasts import compare
from tests.benchmarks import statistics as simulated
from tests.benchmarks.statistics import Setting

QUIET = [[99.40, 99.42, 99.41, 99.43], [99.30, 99.33, 99.29, 99.34], [99.31, 99.34, 99.30, 99.33]]


def seeds(*rows) -> list[dict[int, float]]:
    return [dict(enumerate(row, 1)) for row in rows]


@pytest.mark.parametrize("variants, freedom", [(2, 1), (3, 4), (7, 12), (20, 38)])
def test_the_studentized_range_is_scipys(variants, freedom):
    q = np.array([1.0, 4.0, 6.0])
    theirs = scipy_stats.studentized_range.sf(q, variants, freedom)
    assert contrasts.range_probability(q, variants, freedom) == pytest.approx(theirs, abs=3e-5)
    critical = contrasts.critical_range(variants, freedom)
    assert contrasts.range_probability(critical, variants, freedom) == pytest.approx(0.05)


def test_two_variants_are_a_paired_t_test():
    one, two = QUIET[0], [99.1, 99.44, 99.2, 99.45]
    [found] = compare(seeds(one, two)).values()
    theirs = scipy_stats.ttest_rel(one, two)
    assert found.p == pytest.approx(theirs.pvalue, abs=3e-5)
    low, high = theirs.confidence_interval(0.95)
    assert found.interval == pytest.approx((np.mean(one) - np.mean(two), low, high, 4), abs=1e-4)


def test_the_error_is_that_of_the_additive_model():
    rows = np.array(QUIET)
    residual = rows - rows.mean(0) - rows.mean(1, keepdims=True) + rows.mean()
    deviation, freedom = contrasts.pooled_deviation(seeds(*rows))
    assert freedom == 2 * 3
    assert deviation == pytest.approx(np.sqrt((residual**2).sum() / 6))
    found = compare(seeds(*rows))[0, 1]
    q = np.sqrt(4) * (rows[0] - rows[1]).mean() / deviation
    if found.pooled:
        assert found.p == pytest.approx(float(contrasts.range_probability(q, 3, 6)))


def test_a_missing_run_leaves_the_difference_to_the_common_seeds():
    rows = seeds(*QUIET)
    del rows[2][4]
    _, freedom = contrasts.pooled_deviation(rows)
    assert freedom == 11 - (3 + 4 - 1)
    found = compare(rows)[0, 2].interval
    assert found.n == 3 and found.mean == pytest.approx(np.mean([0.09, 0.08, 0.11]))


def test_a_variant_of_larger_spread_is_set_aside():
    ruined = [97.6, 98.7, 98.0, 90.0]
    rows = seeds(*QUIET, ruined)
    assert contrasts.of_like_spread(rows) == [0, 1, 2]
    alone, beside = compare(seeds(*QUIET)), compare(rows)
    more_pairs = contrasts.critical_range(4, 6) / contrasts.critical_range(3, 6)
    for pair in ((0, 1), (0, 2), (1, 2)):  # their error is what it is without it
        half_width = alone[pair].interval.half_width
        assert beside[pair].interval.half_width == pytest.approx(more_pairs * half_width)
    apart = beside[0, 3]
    theirs = scipy_stats.ttest_rel(QUIET[0], ruined)
    assert not apart.pooled and apart.p == pytest.approx(min(1, 6 * theirs.pvalue))
    second = [99.3, 99.2, 98.3, 99.4]  # which stands out when the first is gone
    assert contrasts.of_like_spread(seeds(*QUIET, ruined, second)) == [0, 1, 2]


def test_the_largest_variance_is_set_aside_and_not_that_of_the_most_seeds():
    many = [99 + 0.1 * (-1) ** i for i in range(30)]
    rows = seeds(many, [99.0, 99.3, 98.7], [99.1, 99.0, 99.05])
    assert contrasts.of_like_spread(rows) == [0, 2]


def test_of_variants_of_equal_spread_one_is_set_aside_in_at_most_a_study_of_twenty():
    """Up to the simulation's own error."""
    rng, studies = np.random.default_rng(7), 300
    rows = [seeds(*rng.normal(size=(7, 5))) for _ in range(studies)]
    aside = sum(len(contrasts.of_like_spread(each)) < 7 for each in rows)
    assert 0.01 <= aside / studies <= 0.09


def test_a_variant_of_one_seed_widens_no_interval_of_the_others():
    alone, beside = compare(seeds(*QUIET)), compare(seeds(*QUIET, [98.0]))
    assert all(beside[pair] == alone[pair] for pair in alone)


def test_a_pair_is_never_surer_than_its_own_error():
    rows = seeds([99.4, 99.5, 99.3], [99.0, 99.35, 99.25], [99.21, 99.30, 99.11])
    for (i, j), found in compare(rows).items():
        differences = [rows[i][seed] - rows[j][seed] for seed in rows[i]]
        own = np.std(differences, ddof=1) / np.sqrt(3)
        error = found.interval.half_width * np.sqrt(2) / contrasts.critical_range(3, 4)
        assert error >= own - 1e-9 and found.pooled == (error > own + 1e-9)


def test_the_interval_excludes_zero_just_where_p_is_below_a_twentieth():
    rng = np.random.default_rng(3)
    apart = []
    for _ in range(60):
        rows = rng.normal(0, 1, (4, 3)) + np.array([[3], [1], [0], [0]])
        for found in compare(seeds(*rows)).values():
            apart.append(found.significant)
            excludes = found.interval.low > 0 or found.interval.high < 0
            assert excludes == found.significant == (found.p < 0.05)
    assert 20 < sum(apart) < 300


@pytest.mark.parametrize(
    "rows",
    [
        [[99.4], [99.3]],  # one seed
        [[99.5, 99.25], [99.25, 99.0]],  # differences all alike
        [[99.4, 99.3], []],
    ],
)
def test_without_an_error_there_is_no_p(rows):
    [found] = compare(seeds(*rows)).values()
    assert np.isnan(found.p) and np.isnan(found.interval.low) and not found.significant


def test_the_first_few_and_those_of_the_very_first_stand_among_all_pairs():
    rows = seeds(*QUIET, [99.2, 99.3, 99.21, 99.25], [98, 97, 95, 99])
    everything, few = compare(rows), compare(rows, 3)
    assert list(few) == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2)]
    assert all(few[pair] == everything[pair] for pair in few)


def test_variants_without_a_common_seed_are_not_tested():
    found = compare([{1: 99.4, 2: 99.5}, {3: 99.1, 4: 99.0}, {1: 99.2, 2: 99.1}])
    assert np.isnan(found[0, 1].p) and found[0, 1].interval.n == 0
    assert np.isfinite(found[0, 2].p)


# The bounds are the tables of docs/statistics.md, more or less three Monte Carlo errors.
@pytest.mark.parametrize(
    ("setting", "seeds", "studies", "low", "high"),
    [
        (Setting("equal"), 3, 500, 0.02, 0.07),
        (Setting("equal"), 10, 250, 0.01, 0.08),
        (Setting("a variant of 10 times the spread", spread=10), 5, 250, 0.01, 0.09),
        (Setting("a run is missing", missing=1), 3, 250, 0.01, 0.08),
        (Setting("a run in ten fails", failing=0.1), 5, 250, 0.0, 0.05),
    ],
)
def test_how_often_equal_variants_differ_significantly(setting, seeds, studies, low, high):
    [(false, _)] = simulated.rates(setting, seeds, studies, ("report",)).values()
    assert low <= false <= high


def test_three_seeds_find_what_pairs_alone_miss():
    ahead = Setting("ahead", ahead=4)
    found = simulated.rates(ahead, 3, 200, ("paired", "report"))
    assert 0.30 < found["paired"][1] < 0.46
    assert 0.68 < found["report"][1] < 0.84


def test_a_ruined_variant_does_not_hide_what_the_others_show():
    ruined = Setting("ahead", 7, ahead=4, spread=10)
    found = simulated.rates(ruined, 5, 40, ("pooled", "report"))
    assert found["report"][1] > 0.55 > 0.25 > found["pooled"][1]
