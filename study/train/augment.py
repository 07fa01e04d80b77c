"""Augmentation policies, and the bank of augmented copies that every run draws from.

A policy is albumentations', but none runs while training: a bank of augmented copies of the
training set is made once, ahead of need, and the epochs of every run are drawn from it.
"""

import functools
import hashlib
import importlib.metadata
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from study import files
from study.config import Config
from study.errors import UsageError
from study.train import data, seeds

SMALL = 100_000  # images that one process augments sooner than others are started for it
GIGABYTE = 1e9


def root() -> Path:
    """The folder of the banks: STUDY_CACHE, else `cache`."""
    return Path(os.environ.get("STUDY_CACHE") or "cache")


def limit() -> float:
    """The largest bank, in bytes: STUDY_CACHE_GB gigabytes, else 50.

    Raises:
        UsageError: STUDY_CACHE_GB is no number.
    """
    words = os.environ.get("STUDY_CACHE_GB") or "50"
    try:
        return float(words) * GIGABYTE
    except ValueError:
        raise UsageError(f"STUDY_CACHE_GB={words}: allowed is a number of gigabytes") from None


# Policy -> albumentations' transforms and their settings ("size": the images' own). Interpolation
# 0 is nearest neighbour, as of torchvision's RandomRotation, which the published studies used;
# 1 is bilinear. Border mode 0 fills with `fill`.
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
    "crop_flip": [
        ("Pad", {"padding": 4, "border_mode": 0, "fill": 0, "p": 1}),
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


def folder(dataset: str, policy: str) -> Path:
    """The bank's folder; its name changes with the policy's settings and albumentations' version.

    Found without importing albumentations, which takes longer than a small run's epoch.
    """
    definition = f"{importlib.metadata.version('albumentations')} {POLICIES[policy]}"
    key = hashlib.sha256(definition.encode()).hexdigest()[:8]
    return root() / f"{dataset}-{policy}-{key}"


def augmented(dataset: str, policy: str, copy: int) -> np.ndarray:
    """One augmented copy of the full training set, uint8 [N, C, H, W].

    Each image is drawn from its own seed (policy, copy, image), so that a copy depends neither on
    the process that makes it nor on the copies made before.
    """
    images = data.read(dataset)[0].images
    transform = _compose(policy, images.shape[-1])
    purpose = int.from_bytes(hashlib.sha256(policy.encode()).digest()[:4])
    result = np.empty_like(images)
    for i, image in enumerate(images.transpose(0, 2, 3, 1)):
        transform.set_random_seed(seeds.derive(seeds.BANK, purpose, copy, i) % 2**32)
        result[i] = transform(image=np.ascontiguousarray(image))["image"].transpose(2, 0, 1)
    return result


def usable_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(config: Config) -> None:
    """Make the copies that a run of this configuration draws from, where they are missing.

    Raises:
        UsageError: the bank would pass its size limit or the disk's free space.
        RunError: it cannot be written.
    """
    if config.augment == "none":
        return
    images = data.read(config.dataset)[0].images
    bank = folder(config.dataset, config.augment)
    missing = [copy for copy in range(config.epochs) if not _whole(_path(bank, copy), images)]
    if not missing:
        return
    _check_room(config, bank, images.nbytes, len(missing))
    bar = tqdm(
        total=len(missing),
        desc=f"augmenting {config.dataset}, {config.augment}",
        unit="copy",
        disable=None,  # where no terminal shows it
    )
    make = functools.partial(_make, bank, config.dataset, config.augment)
    with bar:
        # A sweep's worker, which may have no children, meets here what nobody saw ahead.
        alone = multiprocessing.current_process().daemon
        if alone or len(missing) * len(images) <= SMALL:
            for copy in missing:
                make(copy)
                bar.update()
            return
        # A server of forks, so that a GPU in use here is not forked.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(usable_cores(), mp_context=context) as pool:
            for done in as_completed([pool.submit(make, copy) for copy in missing]):
                done.result()
                bar.update()


def epoch_images(config: Config, dataset: data.Dataset, epoch: int) -> np.ndarray:
    """The training images of an epoch (1, 2, ...), uint8 [N, C, H, W], in the data set's order.

    Image i comes from copy (epoch + h(seed, i)) mod epochs of the bank, where h is a hash: over a
    run each image is seen once in each copy, and an epoch mixes all copies.
    """
    if config.augment == "none":
        return dataset.train.images
    copies = epoch_copies(config, dataset, epoch)
    result = np.empty_like(dataset.train.images)
    for copy in range(config.epochs):
        chosen = np.flatnonzero(copies == copy)
        result[chosen] = _load(config, copy)[dataset.kept[chosen]]
    return result


def epoch_copies(config: Config, dataset: data.Dataset, epoch: int) -> np.ndarray:
    """Which copy of the bank an epoch takes each training image from, int64 [N]."""
    total = len(data.read(config.dataset)[0])
    start = np.random.default_rng(seeds.derive(config.seed, seeds.COPY))
    return (start.integers(config.epochs, size=total)[dataset.kept] + epoch) % config.epochs


def copies(config: Config, dataset: data.Dataset) -> Iterator[np.ndarray]:
    """The copies of the bank in turn, of the images trained on, each uint8 [N, C, H, W]; of no
    augmentation the images themselves."""
    if config.augment == "none":
        yield dataset.train.images
        return
    for copy in range(config.epochs):
        yield _load(config, copy)[dataset.kept]


def _load(config: Config, copy: int) -> np.ndarray:
    return np.load(_path(folder(config.dataset, config.augment), copy), mmap_mode="r")


def _path(bank: Path, copy: int) -> Path:
    return bank / f"{copy:05}.npy"


def _make(bank: Path, dataset: str, policy: str, copy: int) -> None:
    images = augmented(dataset, policy, copy)
    files.write(_path(bank, copy), lambda file: np.save(file, images, allow_pickle=False))


def _whole(path: Path, images: np.ndarray) -> bool:
    return path.is_file() and path.stat().st_size > images.nbytes


def _check_room(config: Config, bank: Path, copy_bytes: int, missing: int) -> None:
    need, most = copy_bytes * missing, limit()
    what = f"augment={config.augment}: its bank of {config.epochs} copies"
    if copy_bytes * config.epochs > most:
        raise UsageError(
            f"{what} takes {copy_bytes * config.epochs / GIGABYTE:.2f} GB, over the limit of"
            f" {most / GIGABYTE:g} GB: train fewer epochs or raise STUDY_CACHE_GB"
        )
    files.check_writable(bank)
    free = shutil.disk_usage(bank).free
    if need > free:
        raise UsageError(
            f"{what} takes {need / GIGABYTE:.2f} GB more in {bank}, which has"
            f" {free / GIGABYTE:.2f} GB free: make room, or point STUDY_CACHE to another disk"
        )
