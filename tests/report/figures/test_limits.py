import numpy as np
import pytest

from study.report.figures.limits import (
    ACCURACY,
    LOSS,
    contenders,
    curve_limits,
    leave_room,
    limits,
    point_limits,
)
from study.report.stats import Interval


def test_contenders_have_at_most_eight_times_the_least_error():
    assert contenders([99.5, 99.3, 96.1, 95.9, 11.35]) == [0, 1, 2]
    assert contenders([100.0, 99.3, 99.1]) == [0, 1]  # a perfect one counts as 99.9
    assert contenders([0.02, 0.16, 0.17], LOSS) == [0, 1]
    assert contenders([np.nan, 99.0]) == [1]


def test_the_later_half_of_curves_is_shown_without_spikes():
    falling = np.concatenate([np.linspace(2, 0.5, 50), np.linspace(0.5, 0.1, 50)])
    low, high = limits([falling], perfect=LOSS)
    assert 0 < low < 0.1 and 0.45 < high < 0.55
    spiked = falling.copy()
    spiked[80] = 2.0
    assert limits([spiked], perfect=LOSS)[1] < 0.6


def test_the_last_values_are_inside_with_a_margin():
    low, high = limits([[99.0] * 99 + [98.0], [99.5] * 100])
    assert (low, high) == pytest.approx((98 - 0.12, 99.5 + 0.12))
    assert limits([[99.4]]) == pytest.approx((99.39, 99.41))


def test_intervals_widen_the_axis_but_one_wide_one_does_not_ruin_it():
    values = [[99.0], [99.2], [99.4]]
    low, high = limits(values, [98.9, 99.1, 99.1, 99.3, 99.3, 99.5])
    assert low < 98.9 and high > 99.5 and high - low < 0.8
    low, high = limits(values, [90.0, 99.9, 99.1, 99.3, 99.3, 99.5])
    assert low > 98.4 and high < 100.1
    assert limits([[99.4]], [98.0, 100.8])[1] < 100.3  # an accuracy has an end
    assert limits(values, [np.nan, np.nan]) == limits(values)


def test_bands_leave_room_while_together_they_cover_little_of_the_later_half():
    low, high = np.array([-9.0, -9.0, 0.0, 0.0]), np.array([9.0, 9.0, 0.25, 0.25])
    assert leave_room([(low, high)] * 2, (0, 1))
    assert not leave_room([(low, high)] * 3, (0, 1))
    assert leave_room([(np.full(4, np.nan), np.full(4, np.nan))], (0, 1))


def test_the_axis_of_points_shows_the_contenders_and_their_intervals():
    scores = [
        Interval(99.4, 99.3, 99.5, 3),
        Interval(11.0, 9.0, 13.0, 3),
        Interval(99.2, *[np.nan] * 2, 1),
    ]
    inside, (low, high) = point_limits(scores)
    assert inside == [0, 2] and 99.1 < low < 99.2 and 99.5 < high < 99.6


def test_the_axis_of_curves_shows_bands_or_where_these_would_fill_it_the_seeds():
    apart = np.linspace(99.0, 99.4, 5)
    narrow = [np.array([[90.0, last], [90.0, last + 0.002]]) for last in apart]
    (low, high), bands = curve_limits(narrow, ACCURACY)
    assert bands and 98.9 < low < 99.0 and 99.4 < high < 99.5
    (low, high), bands = curve_limits([np.array([[90.0, 99.0], [90.0, 99.4]])], ACCURACY, [99.45])
    assert not bands and 98.8 < low < 99.0 and high > 99.45
