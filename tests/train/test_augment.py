import multiprocessing
import shutil

import numpy as np
import pytest

from study import datasets
from study.config import FIELDS, Config
from study.errors import UsageError
from study.train import augment, data, provenance


def test_every_policy_is_a_setting():
    assert ("none", *augment.POLICIES) == FIELDS["augment"].choices


@pytest.mark.parametrize("policy", augment.POLICIES)
def test_a_copy_is_the_same_whoever_makes_it_and_differs_from_the_next(policy):
    first = augment.augmented("digits", policy, 0)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, augment.augmented("digits", policy, 0))
    second = augment.augmented("digits", policy, 1)
    originals = data.read("digits")[0].images
    differ = (first != second).any((1, 2, 3)).mean()
    # p=1, not albumentations' 0.5; a turn of under two degrees moves no pixel to its neighbour.
    assert differ > 0.85
    assert (first != originals).any((1, 2, 3)).mean() > 0.65


def test_each_image_is_drawn_for_itself():
    """Two equal images get different draws in one copy."""
    images = data.read("digits")[0].images
    transform = augment._compose("rotate7", 28)
    turned = []
    for seed in range(20):
        transform.set_random_seed(seed)
        turned.append(transform(image=images[0, 0])["image"])
    assert len({image.tobytes() for image in turned}) > 10


def test_rotation_stays_within_seven_degrees_and_fills_with_black():
    bar = np.zeros((28, 28), np.uint8)
    bar[13:15, 4:24] = 255
    transform = augment._compose("rotate7", 28)
    for seed in range(200):
        transform.set_random_seed(seed)
        turned = transform(image=bar)["image"]
        assert set(np.unique(turned)) <= {0, 255}  # nearest neighbour
        rows, columns = np.nonzero(turned)
        angle = np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))
        assert abs(angle) <= 8


def corners_filled(policy: str, image: np.ndarray) -> set[int]:
    """The values in the corners that a turn uncovers, over many draws."""
    transform = augment._compose(policy, 28)
    seen = set()
    for seed in range(30):
        transform.set_random_seed(seed)
        seen |= set(transform(image=image)["image"][[0, 0, -1, -1], [0, -1, 0, -1]].ravel())
    return seen


def test_corners_are_filled_as_the_published_studies_filled_them():
    white = np.full((28, 28, 1), 255, np.uint8)
    assert corners_filled("rotate7", white) == {0, 255}  # 255: a turn too small to uncover one
    assert corners_filled("rotate7_mean", white) == {33, 255}
    assert min(corners_filled("jitter_rotate7", white)) == 1
    mnist = datasets.spec("mnist")
    assert round(255 * mnist.mean[0]) == 33  # which normalizing makes 0


def test_the_jitter_changes_brightness_by_a_tenth_at_most():
    grey = np.full((28, 28, 1), 100, np.uint8)
    transform = augment._compose("jitter_rotate7", 28)
    middles = []
    for seed in range(100):
        transform.set_random_seed(seed)
        middles.append(int(transform(image=grey)["image"][14, 14, 0]))
    assert 89 <= min(middles) < 94 and 106 < max(middles) <= 111


def test_an_epoch_mixes_the_copies_and_a_run_sees_each_once():
    config = Config(augment="affine", epochs=3, holdout=100, seed=1)
    augment.prepare(config)
    dataset = data.load(config)
    epochs = [augment.epoch_images(config, dataset, epoch) for epoch in (1, 2, 3)]
    copies = [
        augment.augmented("digits", "affine", copy)[dataset.train_indices] for copy in range(3)
    ]
    share = [(epochs[0] == copy).all((1, 2, 3)).mean() for copy in copies]
    assert all(0.2 < x < 0.5 for x in share)
    for i in range(len(dataset.train)):
        assert {e[i].tobytes() for e in epochs} == {c[i].tobytes() for c in copies}
    other = augment.epoch_images(
        Config(augment="affine", epochs=3, holdout=100, seed=2), dataset, 1
    )
    assert (other != epochs[0]).any()


def test_a_border_is_black_or_a_reflection():
    """A light image gets dark borders from the one, and none from the other."""
    light = np.full((32, 32, 3), 200, np.uint8)
    for policy, dark in {"crop_flip": True, "crop_flip_reflect": False}.items():
        transform = augment._compose(policy, 32)
        copies = [transform(image=light)["image"] for _ in range(20)]
        assert any((copy == 0).any() for copy in copies) == dark
        assert {copy.shape for copy in copies} == {light.shape}


def test_a_longer_run_extends_the_bank(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    augment.prepare(Config(augment="crop_flip", epochs=1))
    [first] = tmp_path.glob("*/*.npy")
    made = first.stat().st_mtime_ns
    augment.prepare(Config(augment="crop_flip", epochs=2))
    assert len(list(tmp_path.glob("*/*.npy"))) == 2
    assert first.stat().st_mtime_ns == made
    first.write_bytes(first.read_bytes()[:1000])  # a damaged copy is made again
    augment.prepare(Config(augment="crop_flip", epochs=2))
    np.testing.assert_array_equal(np.load(first), augment.augmented("digits", "crop_flip", 0))


def test_another_release_of_opencv_has_a_bank_of_its_own(monkeypatch):
    import cv2

    version = augment.opencv_version()
    assert version.startswith(cv2.__version__)
    assert provenance.versions()["opencv"] == version
    before = augment.folder("digits", "rotate7")
    monkeypatch.setattr(augment, "opencv_version", lambda: "4.11.0.86")
    assert augment.folder("digits", "rotate7") != before


def test_a_worker_that_may_have_no_children_makes_copies_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    monkeypatch.setattr(augment, "SMALL", 0)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    augment.prepare(Config(augment="rotate7", epochs=2))
    assert len(list(tmp_path.rglob("*.npy"))) == 2


def test_a_bank_over_the_limit_or_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    config = Config(augment="rotate7", epochs=2)
    monkeypatch.setenv("STUDY_CACHE_GB", "0.001")
    with pytest.raises(UsageError, match=r"augment=rotate7.*over the limit.*STUDY_CACHE_GB"):
        augment.prepare(config)
    monkeypatch.setenv("STUDY_CACHE_GB", "much")
    with pytest.raises(UsageError, match="STUDY_CACHE_GB=much"):
        augment.prepare(config)
    monkeypatch.delenv("STUDY_CACHE_GB")
    little = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(augment.shutil, "disk_usage", lambda _: little)
    with pytest.raises(UsageError, match=r"0\.00 GB free: make room, or point STUDY_CACHE"):
        augment.prepare(config)
    assert not list(tmp_path.glob("*/*.npy"))
