import numpy as np

from study import files, search_record
from study.report import grouping
from study.report.figures import best_so_far
from tests.conftest import read_csv
from tests.report.conftest import searched


def test_the_best_so_far_follows_the_search(made, tmp_path):
    searched(made, 5)
    study = grouping.collect(tmp_path / "runs/mine")
    best_so_far.draw(tmp_path, study)
    rows = read_csv(tmp_path / "best_so_far.csv")
    names = [row["run"] for row in rows]
    assert names[:5] == files.read_json(tmp_path / "runs/mine" / search_record.FILE)["runs"]
    best = [float(row["best"]) for row in rows[:5]]
    values = [float(row["val_accuracy_last"]) for row in rows[:5]]
    assert best == list(np.maximum.accumulate(values))
    assert rows[5]["state"] == "failed" and rows[5]["best"] == ""


def test_few_runs_have_no_figure(made, tmp_path):
    searched(made, 4)
    assert best_so_far.draw(tmp_path, grouping.collect(tmp_path / "runs/mine")) is None
