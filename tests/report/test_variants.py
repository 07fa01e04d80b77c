"""Runs grouped by configuration."""

import pytest

from study import runs
from study.config import Config
from study.errors import UsageError
from study.report import variants
from tests.report.conftest import curve, spread


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


def test_the_best_are_first_and_those_without_a_figure_last():
    broken = spread(Config(norm="group"), 99.9)
    broken[0].summary["test_accuracy_last"] = float("nan")
    study = variants.gather(
        {"mine": [*spread(Config(), 99.1), *spread(Config(norm="layer"), 99.3), *broken]}
    )
    assert [variant.label for variant in study.ranked()] == ["LN", "BN", "GN"]
