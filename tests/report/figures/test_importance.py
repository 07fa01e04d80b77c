import pytest

from study.config import Config
from study.report import variants
from study.report.axis import varying
from study.report.figures import importance
from tests.report.conftest import curve, searched


def test_importance_finds_the_setting_that_decides(made, tmp_path):
    searched(made, 14)
    study = variants.collect(tmp_path / "runs/mine")
    varied = varying(study)
    assert [axis.name for axis in varied] == ["norm", "lr", "holdout"]
    shares = importance.shares_of_variance(study, varied[:2])
    assert list(shares) == ["lr", "norm"] and shares["lr"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == importance.shares_of_variance(study, varied[:2])  # the forest is seeded
    figure = importance.draw(tmp_path, study, varied)
    assert "14 configurations, 14 finished runs" in figure.caption


def test_importance_says_nothing_where_it_could_not(made, tmp_path, l1_grid):
    study = variants.collect(l1_grid)
    assert importance.draw(tmp_path, study, varying(study)) is None
    made(Config(l1=1e-6, lr=0.1, holdout=100), curve(99.0))  # two settings, five configurations
    study = variants.collect(l1_grid)
    assert importance.draw(tmp_path, study, varying(study)) is None
    assert not list(tmp_path.glob("importance.*"))
