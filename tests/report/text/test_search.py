"""What a search found, in words, on run folders whose best configuration is known."""

import os

from study import files, planned, runs, search_record
from study.config import Config
from study.metrics import Metric
from study.planned import Plan
from study.report import grouping
from study.report.text import search
from tests.report.conftest import curve, searched


def record(folder, metric: str | None) -> None:
    """Say that a search made the runs of a folder."""
    content = {"method": "random", "metric": metric, "seed": 0, "runs": []}
    files.write_json(folder / search_record.FILE, content)


def test_the_best_is_named_with_what_it_was_chosen_on_and_runs_again(l1_grid):
    record(l1_grid, "val/accuracy")
    found = search.summarize(grouping.collect(l1_grid))
    chosen, tested, _ = found.sentences
    assert "BN + L1 0.0001 (sum)" in chosen and "validation accuracy at the last epoch" in chosen
    assert "98.84 ± 0.05 %, the mean of 3 runs" in chosen
    assert "among 4 configurations with 12 finished runs; not among them: 1 stopped" in chosen
    assert tested == (
        "Being the highest of 4, that figure flatters it. Its test accuracy at the last epoch,"
        " which chose nothing, is 99.34 ± 0.05 %, with 7,684 parameters."
    )
    best = runs.name(Config(l1=1e-4, holdout=100, seed=1))
    assert found.command == f"study rerun {l1_grid}/{best} --seeds 1,2,3,4,5"


def test_what_the_best_was_not_chosen_among_is_counted(l1_grid, made):
    made(Config(l1=1e-1, holdout=100, seed=1), [20.0], runs.FAILED, cause="x")
    record(l1_grid, "val/accuracy")
    chosen, *_ = search.summarize(grouping.collect(l1_grid)).sentences
    assert chosen.endswith("; not among them: 1 stopped early and 1 failed.")


def test_a_choice_on_the_test_set_is_called_flattering(made, tmp_path):
    made(Config(lr=0.1), curve(99.0))
    made(Config(lr=0.2), curve(99.2))
    folder = tmp_path / "runs/mine"
    record(folder, "test/accuracy")
    chosen, flattered, _ = search.summarize(grouping.collect(folder)).sentences
    assert "chosen on its test accuracy" in chosen and "the figure flatters it" in flattered
    record(folder, "test/loss")
    planned.write(folder, Plan("mine", "random", Metric("test/loss", False, None), "", run_cap=2))
    chosen, flattered, _ = search.summarize(grouping.collect(folder)).sentences
    assert "chosen on its test loss" in chosen
    assert "Being the lowest of 2, the figure flatters it" in flattered


def test_the_order_is_that_of_the_search_or_else_of_the_folders(made, tmp_path):
    searched(made, 3)
    folder = tmp_path / "runs/mine"
    ordered, order = search.in_order(grouping.collect(folder))
    assert [run.path.name for run in ordered[:3]] == files.read_json(folder / search_record.FILE)[
        "runs"
    ]
    assert order == "the order of the search"
    (folder / search_record.FILE).unlink()
    for i, run in enumerate(sorted(ordered, key=lambda run: run.config.lr)):
        os.utime(run.path / runs.CONFIG, ns=(i, i))
    ordered, order = search.in_order(grouping.collect(folder))
    rates = [run.config.lr for run in ordered]
    assert rates == sorted(rates) and order == "the order of their folders' times"


def test_the_method_of_the_search_is_named(made, tmp_path):
    searched(made, 3)
    sentences = search.summarize(grouping.collect(tmp_path / "runs/mine")).sentences
    assert "bayes search (seed 7) that goes by the best val/accuracy" in sentences[2]


def test_a_grid_and_runs_drawn_for_no_metric_searched_nothing(l1_grid):
    assert search.summarize(grouping.collect(l1_grid)) is None
    record(l1_grid, None)
    assert search.summarize(grouping.collect(l1_grid)) is None


def test_one_configuration_is_no_search(made, tmp_path):
    made(Config(), curve(99.0))
    assert search.summarize(grouping.collect(tmp_path / "runs/mine")) is None
