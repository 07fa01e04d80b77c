"""Runs grouped by configuration."""

import dataclasses

from study import planned, runs
from study.config import Config
from study.metrics import Metric, default_metric
from study.planned import Plan
from study.report import grouping, page
from study.report.build import build_report
from study.report.study import DETAILED, FEW, SHOWN
from tests.conftest import read_csv
from tests.report.conftest import curve, run, spread


def test_data_sets_are_parts_with_their_own_ranking_and_plan():
    loss = Metric("test/loss", False, None)
    plans = {
        "m": Plan("m", "grid", loss, "", ({"dataset": ["mnist"], "seed": [1, 2, 3]},), target=99.4),
        "d": Plan("d", "grid", default_metric(False), "", ({"norm": ["batch", "layer"]},)),
    }
    digits = [*spread(Config(), 98.0), *spread(Config(norm="layer"), 97.0)]
    mnist = spread(Config(dataset="mnist"), 99.0, 99.1)
    unfinished = run(Config(dataset="fashion_mnist"), 20.0, 1, runs.FAILED)
    study = grouping.gather({"d": [*digits, unfinished], "m": mnist}, plans)
    on_digits, on_mnist = study.by_dataset.values()
    assert list(study.by_dataset) == ["digits", "mnist"]
    assert [v.label for v in on_digits.variants] == ["d: BN, digits", "d: LN, digits"]
    assert (on_digits.name, on_mnist.name) == ("d", "m")
    assert (on_digits.rank_key, on_mnist.rank_key) == ("test_accuracy_last", "test_loss_last")
    assert (on_digits.target, on_mnist.target) == (None, 99.4)
    assert sum(map(len, on_mnist.planned["m"].values())) == 3 and "m" not in on_digits.planned
    assert len(on_mnist.all) == 2 and unfinished in study.all and unfinished not in on_digits.all
    one = grouping.gather({"d": digits})
    assert one.by_dataset == {"digits": one}


def test_duplicates_are_those_of_their_data_set():
    twice = [run(Config(), 99.0, 1), run(Config(), 99.0, 1), run(Config(dataset="mnist"), 99.0, 1)]
    parts = grouping.gather({"mine": twice}).by_dataset
    assert {name: len(part.duplicates) for name, part in parts.items()} == {"digits": 1, "mnist": 0}


def test_there_are_curves_where_any_variant_has_epochs():
    one = run(Config(epochs=1), 99.0, 1)
    del one.history[1:]
    assert not grouping.gather({"mine": [one]}).has_curves
    assert grouping.gather({"mine": [one, run(Config(), 99.0, 1)]}).has_curves


def test_families_share_data_set_network_and_epochs():
    long, short = Config(epochs=20), Config(epochs=12)
    layer = Config(norm="layer", epochs=20)
    study = grouping.gather(
        {"mine": [*spread(short, 99.9), *spread(long, 99.1), *spread(layer, 99.2)]}
    )
    labels = [[variant.label for variant in family] for family in study.families]
    assert labels == [["LN, epochs 20", "BN, epochs 20"], ["BN, epochs 12"]]


def test_the_best_of_each_kind_have_a_look_of_their_own():
    many = [run(Config(lr=0.01 * i, epochs=3), 90 + i / 10, 1) for i in range(1, 31)]
    study = grouping.gather({"mine": [*many, *spread(Config(epochs=20), 99.0)]})
    assert len(study.families[0]) == 30 and len(study.shown) == SHOWN
    assert study.shown[:2] == study.order[:2] and study.shown[-1] is study.families[1][0]


def test_of_many_variants_the_best_have_a_section():
    many = [run(Config(lr=lr / 100), 90 + lr, 1) for lr in range(1, 8 + DETAILED)]
    study = grouping.gather({"mine": many})
    assert study.detailed == study.ranked[:DETAILED]
    few = grouping.gather({"mine": many[:FEW]})
    assert few.detailed == few.order


def test_a_run_failed_to_learn_where_it_is_nearer_to_guessing_than_to_the_best_of_its_kind():
    study = grouping.gather(
        {
            "mine": [
                *spread(Config(), 90.0, 50.1, 49.9, 10.0),  # guessing is 10 %
                *spread(Config(epochs=1), 30.0, 49.0),  # beside others of one epoch
            ]
        }
    )
    found = {v.config.epochs: study.failed_to_learn(v) for v in study.variants}
    assert found == {Config().epochs: [3, 4], 1: []}


def test_the_best_are_first_and_those_without_a_figure_last():
    broken = spread(Config(norm="group"), 99.9)
    broken[0].summary["test_accuracy_last"] = float("nan")
    study = grouping.gather(
        {"mine": [*spread(Config(), 99.1), *spread(Config(norm="layer"), 99.3), *broken]}
    )
    assert [variant.label for variant in study.ranked] == ["LN", "BN", "GN"]


def losses(config: Config, accuracy: float, loss: float) -> runs.Run:
    return run(config, accuracy, 1, val_loss_last=loss, val_accuracy_last=accuracy)


def test_the_sweeps_own_metric_ranks_in_its_direction():
    sweep = [
        losses(Config(holdout=100), 99.3, 0.05),
        losses(Config(holdout=100, lr=1.0), 99.1, 0.04),
    ]
    assert grouping.gather({"mine": sweep}).metric == default_metric(True)  # of older folders
    best = {}
    for name, goal in (("val/loss", False), ("val/accuracy", True), ("test/accuracy", False)):
        plan = Plan("mine", "grid", Metric(name, goal, None), "")
        study = grouping.gather({"mine": sweep}, {"mine": plan})
        best[name] = study.ranked[0].config.lr
        assert study.metric is plan.metric
    assert best == {"val/loss": 1.0, "val/accuracy": 0.05, "test/accuracy": 1.0}


def test_a_metric_that_runs_lack_and_two_that_differ_rank_nothing():
    plan = Plan("mine", "grid", Metric("val/loss", False, None), "")
    bare = spread(Config(), 99.1)
    assert grouping.gather({"mine": bare}, {"mine": plan}).metric == default_metric(False)
    some = [*bare, losses(Config(norm="layer", holdout=100), 99.3, 0.3)]
    assert grouping.gather({"mine": some}, {"mine": plan}).metric == default_metric(False)
    one, two = [losses(Config(holdout=100), 99.3, 0.05)], [losses(Config(holdout=100), 99.2, 0.04)]
    same = grouping.gather({"one": one, "two": two}, {"one": plan, "two": plan})
    assert same.metric is plan.metric and same.ranked[0].sweep == "two"
    other = dataclasses.replace(plan, metric=Metric("train/loss", False, None))
    mixed = grouping.gather({"one": one, "two": two}, {"one": plan, "two": other})
    assert mixed.metric == default_metric(True) and mixed.ranked[0].sweep == "one"
    half = grouping.gather({"one": one, "two": two}, {"one": plan})  # nobody knows what ranks two
    assert half.metric == default_metric(True)


def test_sweeps_of_different_targets_have_none():
    plans = {name: Plan(name, "grid", None, "", target=99.0) for name in ("one", "two")}
    sweeps = {name: spread(Config(), 99.0) for name in plans}
    assert grouping.gather(sweeps, plans).target == 99.0
    plans["two"] = dataclasses.replace(plans["two"], target=99.5)
    assert grouping.gather(sweeps, plans).target is None


def test_the_metric_heads_the_report(made, tmp_path, quick):
    for lr, accuracy in ((0.1, 99.3), (0.2, 99.1), (0.3, 99.0)):
        path = made(Config(lr=lr, holdout=100), curve(accuracy), val_loss_last=1 - lr)
        *rows, last = runs.read_history(path)
        runs.write_history(path, [*rows, last | {"val/loss": 1 - lr}])
    folder = tmp_path / "runs/mine"
    planned.write(folder, Plan("mine", "grid", Metric("val/loss", False, None), ""))
    study = grouping.collect(folder)
    report = build_report(study, [folder], tmp_path / "out")
    [part] = report.comparisons
    assert part.findings[0].text.startswith(
        "BN, lr 0.3 has the lowest mean validation loss at the last epoch: 0.7000, its test"
        " accuracy is 99.00 %"
    )
    assert not any("test images, which flatters" in finding.text for finding in part.findings)
    assert [row.chosen for row in part.variants] == ["0.7000", "0.8000", "0.9000"]
    assert part.chosen_by == "validation loss" and part.compared[0].title.startswith("Validation")
    assert "val_loss" in part.graphs
    assert part.search is None  # a grid chooses nothing
    page.render(report, tmp_path / "out")
    assert "| validation loss |" in (tmp_path / "out/report.md").read_text()
    results = read_csv(tmp_path / "out/results.csv")
    assert [row["lr"] for row in results] == ["0.3", "0.2", "0.1"]
    final = read_csv(tmp_path / "out/figures/final.csv")
    assert [row["mean"] for row in final] == ["0.7", "0.8", "0.9"]
