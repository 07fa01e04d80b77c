"""How runs become variants: their labels, files and duplicates."""

import shutil

import pytest

from study import runs
from study.config import Config
from study.errors import UsageError
from study.report import grouping
from tests.report.conftest import curve, run, spread


def test_no_two_variants_share_a_files_name():
    sweeps = {name: spread(Config(), 99.2) for name in ("研究", "実験", "a b", "A_b", "x" * 300)}
    found = grouping.gather(sweeps).variants
    names = [variant.file for variant in found]
    assert names[:4] == ["bn", "bn_2", "a_b_bn", "a_b_bn_2"] and len(names[4]) < 200


def test_a_duplicate_is_counted_once(made, tmp_path):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=1), curve(98.0), name="zz_again")
    study = grouping.collect(tmp_path / "runs/mine")
    [variant] = study.variants
    assert len(variant.runs) == len(study.duplicates) == 1


def test_a_finished_run_counts_before_a_failed_one_of_its_seed():
    failed, finished = run(Config(), 50.0, 1, runs.FAILED), run(Config(), 99.0, 1)
    study = grouping.gather({"mine": [failed, finished]})
    assert study.variants[0].runs == [finished] and study.duplicates == [failed]


def test_runs_are_in_the_order_of_their_seeds():
    study = grouping.gather({"mine": spread(Config(), 99.0, 99.1, 99.2)[::-1]})
    assert [each.config.seed for each in study.variants[0].runs] == [1, 2, 3]


def test_the_long_numbers_of_a_search_are_short_in_labels(made, tmp_path):
    made(Config(lr=0.012345678901, l1=2.5e-5), curve(99.0))
    made(Config(lr=0.9), curve(99.0))
    study = grouping.collect(tmp_path / "runs/mine")
    assert [v.label for v in study.variants] == ["BN, lr 0.9", "BN + L1 2.5e-5 (sum), lr 0.01235"]
    made(Config(lr=0.012345678902, l1=2.5e-5), curve(99.0))  # no longer distinct
    labels = [v.label for v in grouping.collect(tmp_path / "runs/mine").variants]
    assert "BN + L1 2.5e-5 (sum), lr 0.012345678901" in labels and len(set(labels)) == 3


def test_a_sweep_without_a_finished_run_is_refused(made, tmp_path):
    made(Config(), curve(99.0), runs.FAILED, cause="x")
    with pytest.raises(UsageError, match="has 1 run, none of them finished"):
        grouping.collect(tmp_path / "runs/mine")


def test_a_sweep_of_damaged_runs_holds_up_no_whole_one(made, tmp_path, caplog):
    made(Config(), curve(99.0))
    whole, damaged = tmp_path / "runs/mine", tmp_path / "runs/damaged"
    shutil.copytree(whole, damaged)
    for path in damaged.iterdir():
        (path / runs.CONFIG).write_text("")
    study = grouping.collect(whole, damaged)
    assert len(study.variants) == 1 and list(study.unread) == [
        f"damaged/{path.name}" for path in damaged.iterdir()
    ]
    assert "left out: damaged/" in caplog.text
    with pytest.raises(UsageError, match="no run in it can be read"):
        grouping.collect(damaged)


def test_a_label_of_several_sweeps_names_what_differs_within_its_own():
    recipe = {"schedule": "onecycle", "lr": 0.07, "dropout": 0.029, "epochs": 15}
    first = [
        *spread(Config(l1=2.5e-5, **recipe), 98.0),
        *spread(Config(norm="layer", **recipe), 97),
    ]
    second = spread(Config(l1=2.5e-5), 96.0)
    study = grouping.gather({"quick": first, "other": second})
    labels = [variant.label for variant in study.variants]
    assert labels == ["quick: BN + L1 2.5e-5 (sum)", "quick: LN", "other: BN"]


def test_sweeps_of_one_name_are_told_apart_by_the_folders_above(made, tmp_path):
    folders = [tmp_path / place / "runs/mine" for place in ("old", "new")]
    for folder in folders:
        path = made(Config(), curve(99.0))
        folder.parent.mkdir(parents=True)
        path.parent.rename(folder)
    study = grouping.collect(*folders)
    labels = [variant.label for variant in study.variants]
    assert labels == ["old/runs/mine: BN", "new/runs/mine: BN"]
    link = tmp_path / "link"
    link.symlink_to(folders[0])
    with pytest.raises(UsageError, match="given twice"):
        grouping.collect(folders[0], link)
