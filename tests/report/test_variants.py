"""The variants of a study."""

from study.config import Config
from study.report import grouping
from tests.report.conftest import spread


def test_curves_are_over_the_epochs_that_all_runs_have():
    one, two = spread(Config(), 99.0, 99.1)
    del two.history[3]  # a pulled run may lack an epoch
    [variant] = grouping.gather({"mine": [one, two]}).variants
    assert variant.epochs == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert variant.curves("test/accuracy").shape == (2, 9)
