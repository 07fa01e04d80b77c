"""What the search found, on run folders whose best configuration is known."""

import csv
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from study import files, runs
from study.config import Config
from study.report import axis, page, variants
from study.report.figures import response
from study.report.text import search
from tests.report.conftest import curve

L1 = (0.0, 1e-5, 1e-4, 1e-3)


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture
def l1_grid(made, tmp_path):
    """Four lambdas over three seeds, the best of them 1e-4, the last ruined; one run stopped."""
    for seed in (1, 2, 3):
        for l1, last in zip(L1, (99.0, 99.1, 99.3, 60.0)):
            made(Config(l1=l1, holdout=100, seed=seed), curve(last + 0.02 * seed))
    made(Config(l1=1e-2, holdout=100, seed=1), [20.0, 30.0], runs.STOPPED)
    return tmp_path / "runs/mine"


def searched(made, configurations: int, method: str = "bayes") -> None:
    """Draws of lr and norm whose accuracy the learning rate alone decides."""
    rng, names = np.random.default_rng(0), []
    for i in range(configurations):
        lr = round(0.01 * 1.5**i, 6)
        norm = "layer" if rng.random() < 0.5 else "batch"
        last = 99 - abs(math.log(lr / 0.1))
        names.append(made(Config(norm=norm, lr=lr, holdout=100), curve(last)).name)
    folder = made(Config(holdout=200, lr=5.0), [10.0], runs.FAILED, cause="x").parent
    found = {"method": method, "metric": "val/accuracy", "seed": 7, "runs": names[::-1]}
    files.write_json(folder / runs.SEARCH, found)


def test_the_response_to_l1_is_the_mean_of_each_lambda(l1_grid, tmp_path):
    study = variants.collect(l1_grid)
    varied = axis.varying(study)
    [l1] = varied
    drawn = response.draw(tmp_path, study, l1, varied)
    assert drawn.name == "response_l1" and "stopped early" in drawn.caption
    for kind in ("png", "pdf", "csv"):
        assert (tmp_path / f"response_l1.{kind}").stat().st_size
    found = rows(tmp_path / "response_l1.csv")
    assert [(row["l1"], row["state"]) for row in found] == [
        ("0.0", "finished"), ("1e-05", "finished"), ("0.0001", "finished"),
        ("0.001", "finished"), ("0.01", "stopped"),
    ]  # fmt: skip
    best = found[2]
    assert float(best["mean"]) == pytest.approx(98.84)  # validation: half a point lower
    assert float(best["high"]) - float(best["mean"]) == pytest.approx(
        4.303 * 0.02 / 3**0.5, rel=1e-3
    )
    assert found[4]["low"] == ""


def test_zero_stands_left_of_a_log_axis():
    l1 = axis.Axis("l1", L1)
    assert l1.log
    places = [l1.place(value) for value in L1]
    assert places == sorted(places) and places[1:] == pytest.approx([-5, -4, -3])
    assert l1.ticks()[0] == (l1.zero, "0") and l1.zero <= -5.5
    assert not axis.Axis("dropout", (0.0, 0.01, 0.5)).log
    assert not axis.Axis("lr", (0.05, 0.07)).log


def test_a_ruined_configuration_does_not_flatten_the_others(l1_grid, tmp_path):
    study = variants.collect(l1_grid)
    axes = Figure().subplots()
    points = [(i, variant.last("val_accuracy_last")) for i, variant in enumerate(study.variants)]
    assert response.zoom(axes, points) == pytest.approx(98.54)
    low, high = axes.get_ylim()
    assert 97 < low < 98.54 and 98.84 < high <= 100.2
    assert [text.get_text() for text in axes.texts] == ["59.5"]


def test_a_coupled_setting_is_drawn_where_it_has_an_effect(made, tmp_path):
    for groups in (1, 2, 5):
        made(Config(norm="group", groups=groups), curve(99.0 + groups / 100))
    made(Config(), curve(98.0))
    study = variants.collect(tmp_path / "runs/mine")
    varied = axis.varying(study)
    assert [(s.name, s.values) for s in varied] == [
        ("norm", ("batch", "group")), ("groups", (1, 2, 5)),
    ]  # fmt: skip
    response.draw(tmp_path, study, varied[1], varied)
    assert [row["groups"] for row in rows(tmp_path / "response_groups.csv")] == ["1", "2", "5"]


def test_importance_finds_the_setting_that_decides(made, tmp_path):
    searched(made, 14)
    study = variants.collect(tmp_path / "runs/mine")
    varied = axis.varying(study)
    assert [s.name for s in varied] == ["norm", "lr", "holdout"]
    shares = response.shares_of_variance(study, varied[:2])
    assert list(shares) == ["lr", "norm"] and shares["lr"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == response.shares_of_variance(study, varied[:2])  # the forest is seeded
    drawn = response.importance(tmp_path, study, varied)
    assert "14 configurations, 14 finished runs" in drawn.caption


def test_importance_says_nothing_where_it_could_not(made, tmp_path, l1_grid):
    study = variants.collect(l1_grid)
    assert response.importance(tmp_path, study, axis.varying(study)) is None
    made(Config(l1=1e-6, lr=0.1, holdout=100), curve(99.0))  # two settings, five configurations
    study = variants.collect(l1_grid)
    assert response.importance(tmp_path, study, axis.varying(study)) is None
    assert not list(tmp_path.glob("importance.*"))


def test_the_best_so_far_follows_the_search(made, tmp_path):
    searched(made, 5)
    study = variants.collect(tmp_path / "runs/mine")
    search.best_so_far(tmp_path, study)
    found = rows(tmp_path / "best_so_far.csv")
    names = [row["run"] for row in found]
    assert names[:5] == files.read_json(tmp_path / "runs/mine" / runs.SEARCH)["runs"]
    best = [float(row["best"]) for row in found[:5]]
    values = [float(row["val_accuracy_last"]) for row in found[:5]]
    assert best == list(np.maximum.accumulate(values))
    assert found[5]["state"] == "failed" and found[5]["best"] == ""


def test_the_order_is_that_of_the_trials_or_else_of_the_folders(made, tmp_path):
    for trial, lr in ((2, 0.1), (0, 0.2), (1, 0.3)):
        made(Config(lr=lr), curve(99.0), trial=trial)
    folder = tmp_path / "runs/mine"
    ordered, how = search.in_order(variants.collect(folder))
    assert [run.config.lr for run in ordered] == [0.2, 0.3, 0.1] and how == search.SEARCHED
    made(Config(lr=0.01), curve(99.0))
    ordered, how = search.in_order(variants.collect(folder))
    assert [run.config.lr for run in ordered] == [0.1, 0.2, 0.3, 0.01] and "times" in how


def test_the_best_is_named_with_what_it_was_chosen_on_and_runs_again(l1_grid):
    found = search.find(variants.collect(l1_grid), l1_grid.parent / "figures")
    chosen, tested = found.sentences
    assert "BN + L1 0.0001 (sum)" in chosen and "validation accuracy at the last epoch" in chosen
    assert "98.84 ± 0.05 %, the mean of 3 runs" in chosen
    assert "among 4 configurations with 12 finished runs; not among them: 1 stopped" in chosen
    assert "99.34 ± 0.05 %, with 7,684 parameters" in tested
    best = runs.name(Config(l1=1e-4, holdout=100, seed=1))
    assert found.command == f"study rerun {l1_grid}/{best} --seeds 1,2,3,4,5"


def test_a_choice_on_the_test_set_is_called_flattering(made, tmp_path):
    made(Config(lr=0.1), curve(99.0))
    made(Config(lr=0.2), curve(99.2))
    folder = tmp_path / "runs/mine"
    chosen, flattered = search.sentences(variants.collect(folder))
    assert "chosen on its test accuracy" in chosen and "the figure flatters it" in flattered


def test_a_search_stands_in_the_report_with_its_figures(made, tmp_path):
    searched(made, 11)
    folder = tmp_path / "runs/mine"
    found = search.find(variants.collect(folder), tmp_path / "out/figures")
    assert [figure.name for figure in found.figures] == [
        "response_lr", "importance", "parallel_coordinates", "best_so_far",
    ]  # fmt: skip
    assert "bayes search (seed 7) that goes by the best val/accuracy" in found.sentences[2]
    lines = rows(tmp_path / "out/figures/parallel_coordinates.csv")
    assert len(lines) == 11
    assert float(lines[0]["val_accuracy_last"]) == max(float(r["val_accuracy_last"]) for r in lines)


def test_the_page_prints_the_command_with_the_folder_quoted(made, tmp_path, quick):
    for lr in (0.1, 0.2):
        made(Config(lr=lr), curve(99 + lr), sweep="my sweep")
    folder = tmp_path / "runs/my sweep"
    html = page.write(folder, tmp_path / "out").read_text()
    name = runs.name(Config(lr=0.2))
    assert "What the search found" in html
    assert re.search(rf"study rerun &#39;[^&]*my sweep/{name}&#39; --seeds 1,2,3,4,5", html)
    assert (
        f"study rerun '{folder}/{name}' --seeds 1,2,3,4,5"
        in (tmp_path / "out/report.md").read_text()
    )
