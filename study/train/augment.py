"""Augmentation policies: lists of albumentations' transforms.

None of them runs while training: see bank.py.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
from typing import Any

import numpy as np

from study.train import data, seeds

OPENCV = tuple(f"opencv-{kind}" for kind in (
    "python-headless", "python", "contrib-python-headless", "contrib-python",
))  # fmt: skip


# Policy -> albumentations' transforms and their settings ("size": the images' own). Interpolation
# 0 is nearest neighbour, as of torchvision's RandomRotation, which the published studies used;
# 1 is bilinear. Border mode 0 fills with `fill`, 4 by reflection.
POLICIES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "rotate7": [("Rotate", {"limit": 7, "interpolation": 0, "border_mode": 0, "fill": 0, "p": 1})],
    # As rotate7 done after normalizing, whose 0 in the corners is the mean of MNIST.
    "rotate7_mean": [
        ("Rotate", {"limit": 7, "interpolation": 0, "border_mode": 0, "fill": 33, "p": 1})
    ],
    "jitter_rotate7": [  # of a grey image, saturation and hue change nothing
        (
            "ColorJitter",
            {"brightness": (0.9, 1.1), "contrast": (0.9, 1.1), "saturation": (0.9, 1.1)}
            | {"hue": (-0.1, 0.1), "p": 1},
        ),
        ("Rotate", {"limit": 7, "interpolation": 0, "border_mode": 0, "fill": 1, "p": 1}),
    ],
    "affine": [
        (
            "Affine",
            {"rotate": (-10, 10), "translate_px": (-2, 2), "scale": (0.9, 1.1)}
            | {"interpolation": 1, "border_mode": 0, "fill": 0, "p": 1},
        )
    ],
    "slant8": [  # as handwriting differs; moves nothing, since the digits of MNIST are centred
        (
            "Affine",
            {"rotate": (-8, 8), "shear": {"x": (-8, 8), "y": (0, 0)}, "scale": (0.95, 1.05)}
            | {"interpolation": 1, "border_mode": 0, "fill": 0, "p": 1},
        )
    ],
    "crop_flip": [
        ("Pad", {"padding": 4, "border_mode": 0, "fill": 0, "p": 1}),
        ("RandomCrop", {"height": "size", "width": "size", "p": 1}),
        ("HorizontalFlip", {"p": 0.5}),
    ],
    "crop_flip_reflect": [  # a black border changes the statistics that a norm of one image takes
        ("Pad", {"padding": 4, "border_mode": 4, "p": 1}),
        ("RandomCrop", {"height": "size", "width": "size", "p": 1}),
        ("HorizontalFlip", {"p": 0.5}),
    ],
}


@functools.cache
def _compose(policy: str, size: int) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask PyPI otherwise
    import albumentations
    import cv2

    cv2.setNumThreads(0)
    return albumentations.Compose(
        [
            getattr(albumentations, name)(
                **{key: size if value == "size" else value for key, value in settings.items()}
            )
            for name, settings in POLICIES[policy]
        ]
    )


@functools.cache
def opencv_version() -> str:
    """Return the version of OpenCV, whose arithmetic makes the augmented images.

    Several packages hold it. Where more than one is installed all are named, since which of them
    Python imports is not known.
    """
    found = []
    for package in OPENCV:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(importlib.metadata.version(package))
    return " or ".join(dict.fromkeys(found)) or "unknown"


@functools.cache
def albumentations_version() -> str:
    """Return albumentations' version, without its import, which takes longer than an epoch."""
    return importlib.metadata.version("albumentations")


def augmented(dataset: str, policy: str, copy: int) -> np.ndarray:
    """Augment the full training set once: uint8 [N, C, H, W].

    Each image has a seed of its own, from (policy, copy, image), so that a copy depends neither on
    the process that makes it nor on other copies.
    """
    images = data.read(dataset)[0].images
    transform = _compose(policy, images.shape[-1])
    purpose = int.from_bytes(hashlib.sha256(policy.encode()).digest()[:4])
    result = np.empty_like(images)
    for i, image in enumerate(images.transpose(0, 2, 3, 1)):
        transform.set_random_seed(seeds.derive(seeds.BANK, purpose, copy, i) % 2**32)
        result[i] = transform(image=np.ascontiguousarray(image))["image"].transpose(2, 0, 1)
    return result
