import dataclasses
import http.client
import os
import re
import shutil

import numpy as np
import pytest

from study import datasets, files, own_data
from study.config import Config
from study.errors import UsageError
from study.train import data
from tests.conftest import needs
from tests.test_datasets import made

EVERY = [pytest.param(name, marks=needs(name)) for name in datasets.DATASETS]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The MNIST files as links in a folder of the test's own, where one may be spoilt."""
    source = files.data_folder().absolute() / "MNIST/raw"
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    for name in datasets.spec("mnist").files:
        (folder / name).symlink_to(source / name)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    return folder


@pytest.mark.parametrize("name", EVERY)
def test_shapes_counts_and_statistics(name):
    dataset = data.load(Config(dataset=name))
    spec = dataset.spec
    images, labels = dataset.train.images, dataset.train.labels
    assert images.dtype == np.uint8
    assert images.shape == (spec.train_images, *spec.shape)
    assert dataset.test.images.shape == (spec.test_images, *spec.shape)
    assert set(labels) == set(dataset.test.labels) == set(range(spec.num_classes))
    mean, std = own_data.statistics(images)  # tests/test_datasets.py compares it with numpy's
    assert spec.mean == pytest.approx(mean, abs=1e-4)
    assert spec.std == pytest.approx(std, abs=1e-4)


def test_digits_are_the_scans_enlarged():
    from sklearn.datasets import load_digits

    images = np.concatenate([split.images for split in data.read("digits")])
    scans = load_digits().images
    assert images.shape == (1797, 1, 28, 28)
    assert abs(images.mean() / 255 - scans.mean() / 16) < 0.01
    counts = np.bincount(data.read("digits")[1].labels)
    assert counts.min() >= 34 and counts.max() <= 38


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"train_images": 1000}, "its images are uint8 [1437, 1, 28, 28], by its row in"),
        ({"shape": (3, 28, 28)}, "by its row in study/datasets.py uint8 [1437, 3, 28, 28]"),
        ({"class_names": "abcdefgh"}, "has 1,437 labels, 0 to 9, by its row in study/datasets.py"
         " 1,437, 0 to 7"),
    ],
)  # fmt: skip
def test_images_that_are_not_as_their_row_says_are_refused(wrong, why, tmp_path):
    row = dataclasses.replace(datasets.spec("digits"), **wrong)
    with pytest.raises(UsageError, match=re.escape(why)):
        data._read(row, tmp_path)


def test_the_holdout_is_stratified_fixed_and_apart():
    one, two = (data.load(Config(holdout=200, seed=seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one.train_indices, two.train_indices)
    assert len(one.train) == 1437 - 200
    assert len(one.validation) == 200
    assert np.bincount(one.validation.labels).min() >= 19
    full, _ = data.read("digits")
    np.testing.assert_array_equal(full.images[one.train_indices], one.train.images)
    others = np.setdiff1d(np.arange(len(full)), one.train_indices)
    np.testing.assert_array_equal(full.images[others], one.validation.images)


def test_a_holdout_leaves_some_of_each_class_in_both_parts(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    arrays = made(classes=3, images=603)
    arrays["train_labels"] = np.repeat([0, 1, 2], [300, 300, 3]).astype(np.int32)
    np.savez(tmp_path / "rare.npz", **arrays)
    data.load(Config(dataset="own:rare", holdout=200))
    for holdout, words in ((60, "no validation image of class 2"), (560, "no training image")):
        with pytest.raises(UsageError, match=f"holdout={holdout}: leaves {words}"):
            data.load(Config(dataset="own:rare", holdout=holdout))


@needs("mnist")
@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_spoilt_file_is_refused_with_path_expectation_and_remedy(copied, damage):
    path = copied / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    path.unlink()
    path.write_bytes(content[:-100] if damage == "truncated" else content[:-1] + b"\x0b")
    with pytest.raises(UsageError) as refused:
        data.read("mnist")
    message = str(refused.value)
    assert str(path) in message
    assert "expected MD5 a25bea736e30d166cdddb491f175f624" in message
    assert "delete it" in message
    assert "\n" not in message


@needs("mnist")
def test_a_missing_file_is_fetched_and_the_rest_left_alone(copied, monkeypatch, tmp_path):
    import torchvision

    missing = copied / "t10k-labels-idx1-ubyte"
    source = missing.readlink()
    missing.unlink()

    def download(root, download):
        assert download
        shutil.copytree(source.parent, os.path.join(root, "MNIST/raw"))

    monkeypatch.setattr(torchvision.datasets, "MNIST", download)
    train, test = data.read("mnist")
    assert len(train) == 60_000 and len(test) == 10_000
    assert missing.is_file()
    assert (copied / "train-images-idx3-ubyte").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["MNIST"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (http.client.IncompleteRead(b"half"), "IncompleteRead(4 bytes read)"),
        (http.client.BadStatusLine("nonsense"), "nonsense"),
        (RuntimeError("Error downloading x:\nTried a, got:\nMD5 mismatch\n"), "x: MD5 mismatch"),
    ],
)
def test_a_download_that_breaks_off_is_one_line_with_its_reason(
    error, reason, monkeypatch, tmp_path
):
    import torchvision

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    killed, running = tmp_path / f"{data.DOWNLOAD}old", tmp_path / f"{data.DOWNLOAD}new"
    for folder in (killed, running):
        folder.mkdir()
    os.utime(killed, (0, 0))
    with pytest.raises(UsageError) as refused:
        data.read("cifar10")
    assert f"could not be downloaded ({reason})" in str(refused.value).replace(
        "Error downloading ", ""
    )
    assert [path.name for path in tmp_path.iterdir()] == [running.name]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_no_data_and_no_network_is_one_line_and_leaves_nothing(name, monkeypatch, tmp_path):
    import urllib.request

    def refuse(*_, **__):
        raise urllib.request.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "data"))
    with pytest.raises(UsageError) as refused:
        data.read(name)
    message = str(refused.value)
    assert "\n" not in message
    for words in (str(tmp_path / "data"), "STUDY_DATA", "dataset=digits", name):
        assert words in message
    assert not (tmp_path / "data").exists()
