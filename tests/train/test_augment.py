import numpy as np
import pytest

from study import datasets
from study.config import FIELDS
from study.train import augment, data


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


def test_a_border_is_black_or_a_reflection():
    """A light image gets dark borders from the one, and none from the other."""
    light = np.full((32, 32, 3), 200, np.uint8)
    for policy, dark in {"crop_flip": True, "crop_flip_reflect": False}.items():
        transform = augment._compose(policy, 32)
        copies = [transform(image=light)["image"] for _ in range(20)]
        assert any((copy == 0).any() for copy in copies) == dark
        assert {copy.shape for copy in copies} == {light.shape}
