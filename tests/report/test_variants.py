"""Runs grouped by configuration."""

import csv
import dataclasses

import pytest

from study import planned, runs
from study.config import Config
from study.errors import UsageError
from study.planned import Metric, Plan, default_metric
from study.report import page, variants
from study.report.build import build_report
from tests.report.conftest import curve, run, spread


def test_no_two_variants_share_a_files_name():
    sweeps = {name: spread(Config(), 99.2) for name in ("研究", "実験", "a b", "A_b", "x" * 300)}
    found = variants.gather(sweeps).variants
    names = [variant.file for variant in found]
    assert names[:4] == ["bn", "bn_2", "a_b_bn", "a_b_bn_2"] and len(names[4]) < 200


def test_a_duplicate_is_counted_once(made, tmp_path):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=1), curve(98.0), name="zz_again")
    study = variants.collect(tmp_path / "runs/mine")
    [variant] = study.variants
    assert len(variant.runs) == len(study.duplicates) == 1


def test_the_long_numbers_of_a_search_are_short_in_labels(made, tmp_path):
    made(Config(lr=0.012345678901, l1=2.5e-5), curve(99.0))
    made(Config(lr=0.9), curve(99.0))
    study = variants.collect(tmp_path / "runs/mine")
    assert [v.label for v in study.variants] == ["BN, lr 0.9", "BN + L1 2.5e-5 (sum), lr 0.01235"]
    made(Config(lr=0.012345678902, l1=2.5e-5), curve(99.0))  # no longer distinct
    labels = [v.label for v in variants.collect(tmp_path / "runs/mine").variants]
    assert "BN + L1 2.5e-5 (sum), lr 0.012345678901" in labels and len(set(labels)) == 3


def test_a_sweep_without_a_finished_run_is_refused(made, tmp_path):
    made(Config(), curve(99.0), runs.FAILED, cause="x")
    with pytest.raises(UsageError, match="none of its 1 runs has finished"):
        variants.collect(tmp_path / "runs/mine")


def test_a_label_of_several_sweeps_names_what_differs_within_its_own():
    recipe = {"schedule": "onecycle", "lr": 0.07, "dropout": 0.029, "epochs": 15}
    first = [
        *spread(Config(l1=2.5e-5, **recipe), 98.0),
        *spread(Config(norm="layer", **recipe), 97),
    ]
    second = spread(Config(l1=2.5e-5), 96.0)
    study = variants.gather({"quick": first, "other": second})
    labels = [variant.label for variant in study.variants]
    assert labels == ["quick: BN + L1 2.5e-5 (sum)", "quick: LN", "other: BN"]


def test_sweeps_of_one_name_are_told_apart_by_the_folders_above(made, tmp_path):
    folders = [tmp_path / place / "runs/mine" for place in ("old", "new")]
    for folder in folders:
        path = made(Config(), curve(99.0))
        folder.parent.mkdir(parents=True)
        path.parent.rename(folder)
    study = variants.collect(*folders)
    labels = [variant.label for variant in study.variants]
    assert labels == ["old/runs/mine: BN", "new/runs/mine: BN"]
    link = tmp_path / "link"
    link.symlink_to(folders[0])
    with pytest.raises(UsageError, match="given twice"):
        variants.collect(folders[0], link)


def test_data_sets_are_parts_with_their_own_ranking_and_plan():
    loss = Metric("test/loss", False, None)
    plans = {
        "m": Plan("m", "grid", loss, "", ({"dataset": ["mnist"], "seed": [1, 2, 3]},), target=99.4),
        "d": Plan("d", "grid", default_metric(False), "", ({"norm": ["batch", "layer"]},)),
    }
    digits = [*spread(Config(), 98.0), *spread(Config(norm="layer"), 97.0)]
    mnist = spread(Config(dataset="mnist"), 99.0, 99.1)
    unfinished = run(Config(dataset="fashion_mnist"), 20.0, 1, runs.FAILED)
    study = variants.gather({"d": [*digits, unfinished], "m": mnist}, plans)
    on_digits, on_mnist = study.by_dataset.values()
    assert list(study.by_dataset) == ["digits", "mnist"]
    assert [v.label for v in on_digits.variants] == ["d: BN, digits", "d: LN, digits"]
    assert (on_digits.name, on_mnist.name) == ("d", "m")
    assert (on_digits.rank_key, on_mnist.rank_key) == ("test_accuracy_last", "test_loss_last")
    assert (on_digits.target, on_mnist.target) == (None, 99.4)
    assert sum(map(len, on_mnist.planned["m"].values())) == 3 and "m" not in on_digits.planned
    assert len(on_mnist.all) == 2 and unfinished in study.all and unfinished not in on_digits.all
    one = variants.gather({"d": digits})
    assert one.by_dataset == {"digits": one}


def test_families_share_data_set_network_and_epochs():
    long, short = Config(epochs=20), Config(epochs=12)
    layer = Config(norm="layer", epochs=20)
    study = variants.gather(
        {"mine": [*spread(short, 99.9), *spread(long, 99.1), *spread(layer, 99.2)]}
    )
    labels = [[variant.label for variant in family] for family in study.families]
    assert labels == [["LN, epochs 20", "BN, epochs 20"], ["BN, epochs 12"]]


def test_the_best_of_each_kind_have_a_look_of_their_own():
    many = [run(Config(lr=0.01 * i, epochs=3), 90 + i / 10, 1) for i in range(1, 31)]
    study = variants.gather({"mine": [*many, *spread(Config(epochs=20), 99.0)]})
    assert len(study.families[0]) == 30 and len(study.shown) == variants.SHOWN
    assert study.shown[:2] == study.order[:2] and study.shown[-1] is study.families[1][0]


def test_a_run_failed_to_learn_where_it_is_nearer_to_guessing_than_to_the_best_of_its_kind():
    study = variants.gather(
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
    study = variants.gather(
        {"mine": [*spread(Config(), 99.1), *spread(Config(norm="layer"), 99.3), *broken]}
    )
    assert [variant.label for variant in study.ranked()] == ["LN", "BN", "GN"]


def losses(config: Config, accuracy: float, loss: float) -> runs.Run:
    return run(config, accuracy, 1, val_loss_last=loss, val_accuracy_last=accuracy)


def test_the_sweeps_own_metric_ranks_in_its_direction():
    sweep = [
        losses(Config(holdout=100), 99.3, 0.05),
        losses(Config(holdout=100, lr=1.0), 99.1, 0.04),
    ]
    assert variants.gather({"mine": sweep}).metric == default_metric(True)  # of older folders
    best = {}
    for name, goal in (("val/loss", False), ("val/accuracy", True), ("test/accuracy", False)):
        plan = Plan("mine", "grid", Metric(name, goal, None), "")
        study = variants.gather({"mine": sweep}, {"mine": plan})
        best[name] = study.ranked()[0].config.lr
        assert study.metric is plan.metric
    assert best == {"val/loss": 1.0, "val/accuracy": 0.05, "test/accuracy": 1.0}


def test_a_metric_that_runs_lack_and_two_that_differ_rank_nothing():
    plan = Plan("mine", "grid", Metric("val/loss", False, None), "")
    bare = spread(Config(), 99.1)
    assert variants.gather({"mine": bare}, {"mine": plan}).metric == default_metric(False)
    one, two = [losses(Config(holdout=100), 99.3, 0.05)], [losses(Config(holdout=100), 99.2, 0.04)]
    same = variants.gather({"one": one, "two": two}, {"one": plan, "two": plan})
    assert same.metric is plan.metric and same.ranked()[0].sweep == "two"
    other = dataclasses.replace(plan, metric=Metric("train/loss", False, None))
    mixed = variants.gather({"one": one, "two": two}, {"one": plan, "two": other})
    assert mixed.metric == default_metric(True) and mixed.ranked()[0].sweep == "one"


def test_the_metric_heads_the_report(made, tmp_path, quick):
    for lr, accuracy in ((0.1, 99.3), (0.2, 99.1), (0.3, 99.0)):
        made(Config(lr=lr, holdout=100), curve(accuracy), val_loss_last=1 - lr)
    folder = tmp_path / "runs/mine"
    planned.write(folder, Plan("mine", "grid", Metric("val/loss", False, None), ""))
    study = variants.collect(folder)
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
    with open(tmp_path / "out/results.csv") as file:
        assert [row["lr"] for row in csv.DictReader(file)] == ["0.3", "0.2", "0.1"]
    with open(tmp_path / "out/figures/final.csv") as file:
        assert [row["mean"] for row in csv.DictReader(file)] == ["0.7", "0.8", "0.9"]
