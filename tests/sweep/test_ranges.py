"""Ranges of numbers: which values are sampled from them, and which are warned of."""

import pytest

from study.errors import UsageError
from study.sweep import space
from tests.sweep.test_distributions import made, sample


def test_a_range_that_four_digits_tell_apart_has_four(caplog):
    """The draws of a search that is begun stay as they are, and its name too."""
    wide = space.parse("momentum", {"min": 0.9, "max": 0.99}, "random")
    assert all(round(value, 4) == value for value in sample(wide, 50))
    assert "digits" not in wide.definition
    narrow = space.parse("momentum", {"min": 0.9997, "max": 0.9999}, "random")
    assert narrow.definition.endswith("7 digits")
    for given in ({"min": 0, "max": 1}, {"min": True, "max": 3}):
        with pytest.raises(UsageError):
            space.parse("lr", given, "random")
    space.parse("weight_decay", {"min": 0, "max": 1}, "grid")
    assert not caplog.text


def test_without_a_distribution_whole_bounds_mean_whole_numbers(caplog):
    """As with W&B: `min: 0, max: 1` draws 0 or 1, `min: 0.0, max: 1.0` what lies between."""
    space.parse("seed", {"min": 0, "max": 1}, "random")
    assert not caplog.text
    assert set(sample(space.parse("l1", {"min": 0, "max": 1}, "random"), 50)) == {0, 1}
    assert len(set(sample(space.parse("l1", {"min": 0.0, "max": 1.0}, "random"), 50))) > 40
    assert "for those between write min: 0.0 and max: 1.0" in caplog.text


@pytest.mark.parametrize(
    ("low", "high"), [(0.999, 0.9999), (0.9999, 0.99999), (0.05, 0.0501), (1e-7, 1e-3), (0.0, 0.1)]
)
def test_a_narrow_range_has_as_many_values_as_a_wide_one(low, high):
    """Of ema and momentum the whole range may lie in the fourth digit."""
    values = sample(space.parse("ema", {"min": low, "max": high}, "random"), 300)
    assert len(set(values)) > 250
    assert low <= min(values) and max(values) <= high


def test_bounds_that_may_not_be_logarithms_give_a_warning(caplog):
    with caplog.at_level("WARNING", "study"):
        made("log_uniform", {"min": 1e-6, "max": 1e-3})
    assert "natural logarithms" in caplog.text and "log_uniform_values" in caplog.text
