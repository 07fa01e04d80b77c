"""The bank: what a run takes from it, and what making it needs."""

import multiprocessing
import shutil

import numpy as np
import pytest

from study.config import Config
from study.errors import UsageError
from study.train import augment, bank, data, provenance


def test_an_epoch_mixes_the_copies_and_a_run_sees_each_once():
    config = Config(augment="affine", epochs=3, holdout=100, seed=1)
    bank.prepare(config)
    dataset = data.load(config)
    epochs = [bank.epoch_images(config, dataset, epoch) for epoch in (1, 2, 3)]
    copies = [
        augment.augmented("digits", "affine", copy)[dataset.train_indices] for copy in range(3)
    ]
    share = [(epochs[0] == copy).all((1, 2, 3)).mean() for copy in copies]
    assert all(0.2 < x < 0.5 for x in share)
    for i in range(len(dataset.train)):
        assert {e[i].tobytes() for e in epochs} == {c[i].tobytes() for c in copies}
    other = bank.epoch_images(Config(augment="affine", epochs=3, holdout=100, seed=2), dataset, 1)
    assert (other != epochs[0]).any()


def test_a_longer_run_extends_the_bank(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    bank.prepare(Config(augment="crop_flip", epochs=1))
    [first] = tmp_path.glob("*/*.npy")
    made = first.stat().st_mtime_ns
    bank.prepare(Config(augment="crop_flip", epochs=2))
    assert len(list(tmp_path.glob("*/*.npy"))) == 2
    assert first.stat().st_mtime_ns == made
    whole = first.read_bytes()
    for damaged in (whole[:1000], bytes(128) + whole[128:], b"", whole[:-1]):
        first.write_bytes(damaged)  # such a copy is made again
        bank.prepare(Config(augment="crop_flip", epochs=2))
        np.testing.assert_array_equal(np.load(first), augment.augmented("digits", "crop_flip", 0))


def test_another_release_of_opencv_has_a_bank_of_its_own(monkeypatch):
    import cv2

    version = augment.opencv_version()
    assert version.startswith(cv2.__version__)
    assert provenance.versions()["opencv"] == version
    before = bank.folder("digits", "rotate7")
    monkeypatch.setattr(augment, "opencv_version", lambda: "4.11.0.86")
    assert bank.folder("digits", "rotate7") != before


def test_a_worker_that_may_have_no_children_makes_copies_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    monkeypatch.setattr(bank, "SMALL", 0)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    bank.prepare(Config(augment="rotate7", epochs=2))
    assert len(list(tmp_path.rglob("*.npy"))) == 2


def test_a_bank_over_the_limit_or_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    config = Config(augment="rotate7", epochs=2)
    monkeypatch.setenv("STUDY_CACHE_GB", "0.001")
    with pytest.raises(UsageError, match=r"augment=rotate7.*over the limit.*STUDY_CACHE_GB"):
        bank.prepare(config)
    monkeypatch.setenv("STUDY_CACHE_GB", "much")
    with pytest.raises(UsageError, match="STUDY_CACHE_GB=much"):
        bank.prepare(config)
    monkeypatch.delenv("STUDY_CACHE_GB")
    little = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(bank.shutil, "disk_usage", lambda _: little)
    with pytest.raises(UsageError, match=r"0\.00 GB free: make room, or point STUDY_CACHE"):
        bank.prepare(config)
    assert not list(tmp_path.glob("*/*.npy"))
