import numpy as np
import pytest

from study import runs
from study.config import Config
from study.report import grouping
from study.report.axis import varying
from study.report.figures import importance
from tests.report.conftest import curve, run, searched
from tests.report.figures.conftest import study


def drawn(effect: float, seed: int = 0):
    """30 configurations of three settings, of which the dropout has this effect beside noise."""
    rng = np.random.default_rng(seed)
    for _ in range(30):
        dropout, lr, decay = (float(x) for x in rng.random(3))
        config = Config(dropout=0.9 * dropout, lr=0.1 + lr, weight_decay=decay)
        yield run(config, 90 - effect * dropout + rng.normal(), 1)


def test_importance_finds_the_setting_that_decides_and_names_the_rest(saved, tmp_path):
    made = study(*drawn(effect=8))
    caption = importance.draw(tmp_path, made, varying(made)).caption
    assert caption.startswith("More than chance: dropout.") and "Not among them" not in caption
    stopped = study(*drawn(effect=8), run(Config(dropout=0.95), 11.0, 1, runs.STOPPED))
    caption = importance.draw(tmp_path, stopped, varying(stopped)).caption
    assert "Not among them: 1 run that failed or was stopped, whose settings" in caption
    assert "30 configurations, 30 finished runs" in caption
    _, rows = saved["importance"]
    assert [row["found"] for row in rows] == [True, False, False, ""]
    assert rows[0]["setting"] == "dropout" and rows[-1]["setting"] == "not explained"
    # Of variances 64/12 and 1 the effect has 0.84; 30 configurations leave a forest some of it.
    assert 0.5 < rows[0]["share"] < 0.9 and 0.1 < rows[-1]["share"] < 0.5
    assert all(abs(row["share"]) < 0.1 for row in rows[1:3])


def test_of_noise_nothing_is_found(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(importance, "TREES", 8)
    found = []
    for seed in range(3):
        made = study(*drawn(effect=0, seed=seed))
        result = importance.importance(made, varying(made))
        assert sum(result.shares.values()) < 0.5 and result.unexplained > 0.7
        found.append(len(result.found))
    assert sum(found) <= 1  # each with a chance of 1 in 20
    silent = study(*drawn(effect=0, seed=found.index(0)))
    assert "Nothing was found." in importance.draw(tmp_path, silent, varying(silent)).caption


def test_a_forest_that_explains_nothing_finds_nothing():
    result = importance.Importance({"norm": 0.46, "l1": 0.1}, unexplained=1.0, null=0.37)
    assert result.found == []


def test_shares_are_the_same_again_and_half_of_what_a_permutation_adds():
    rng = np.random.default_rng(1)
    x = rng.random((400, 2))
    y = 3 * x[:, 0] + 4 * x[:, 1]
    shares, unexplained = importance.shares_of_variance(x, y)
    assert shares == pytest.approx([9 / 25, 16 / 25], abs=0.06) and unexplained < 0.05
    assert importance.shares_of_variance(x, y)[0].tolist() == shares.tolist()


def test_a_search_has_its_importance(made, tmp_path, saved, monkeypatch):
    monkeypatch.setattr(importance, "TREES", 8)
    searched(made, 14)
    found = grouping.collect(tmp_path / "runs/mine")
    varied = varying(found)
    assert [axis.name for axis in varied] == ["norm", "lr", "holdout"]
    result = importance.importance(found, varied)
    assert result.found == ["lr"] == list(result.shares)[:1]


def test_importance_says_nothing_where_it_could_not(made, tmp_path, l1_grid):
    study = grouping.collect(l1_grid)
    assert importance.draw(tmp_path, study, varying(study)) is None
    made(Config(l1=1e-6, lr=0.1, holdout=100), curve(99.0))  # two settings, five configurations
    study = grouping.collect(l1_grid)
    assert importance.draw(tmp_path, study, varying(study)) is None
    assert not list(tmp_path.glob("importance.*"))
