"""results.csv."""

import pytest

from study.config import Config
from study.report import grouping, results
from tests.report.conftest import spread


def test_results_are_the_means_over_seeds():
    study = grouping.gather(
        {"mine": [*spread(Config(l1=2.5e-5), 99.4, 99.38), *spread(Config(norm="layer"), 99.2)]}
    )
    bn, ln = (dict(zip(results.HEADER, row, strict=True)) for row in results.rows(study))
    assert (bn["label"], ln["label"]) == ("BN + L1 2.5e-5 (sum)", "LN")
    assert bn["test_accuracy_last_mean"] == pytest.approx(99.39)
    assert bn["test_accuracy_last_high"] == pytest.approx(99.39 + 12.706 * 0.01, abs=1e-3)
    assert (bn["seeds"], bn["finished"], bn["failed"], bn["l1"]) == (2, 2, 0, "2.5e-5")
    assert bn["val_accuracy_last_mean"] == ln["l1_equivalent"] == ""
    assert bn["l1_equivalent"] > 0
    assert "seed" not in bn


def test_the_last_five_epochs_count_from_ten_on_and_the_middle_half_from_ten_seeds():
    short = spread(Config(), 99.4)
    short[0].history[:] = short[0].history[-9:]
    ten = spread(Config(norm="layer"), *[99.4, 99.5, 99.3] * 3, 10.0)
    study = grouping.gather({"mine": [*short, *ten]})
    bn, ln = (dict(zip(results.HEADER, row, strict=True)) for row in results.rows(study))
    assert bn["test_accuracy_last5_min"] == "" and ln["test_accuracy_last5_min"] < 10
    assert bn["interquartile_mean"] == "" and (bn["failed_to_learn"], bn["finished"]) == (0, 1)
    assert ln["interquartile_mean"] == pytest.approx(99.4, abs=0.04)
    assert ln["interquartile_low"] < ln["interquartile_mean"] < ln["interquartile_high"]
    assert ln["failed_to_learn"] == 1
