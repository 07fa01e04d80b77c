"""The bank of augmented copies of a training set that every run takes its images from.

It is made once, before the first run that needs it, and kept for all others.
"""

import functools
import hashlib
import logging
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from study import datasets, files, forks
from study.config import Config
from study.errors import UsageError
from study.train import augment, data, seeds

log = logging.getLogger(__name__)

SMALL = 100_000  # images up to which starting processes takes longer than augmenting in this one
GIGABYTE = 1e9


def limit() -> float:
    """Return the bytes that a bank may have: STUDY_CACHE_GB gigabytes, else 50.

    Raises:
        UsageError: STUDY_CACHE_GB is no number.
    """
    words = os.environ.get("STUDY_CACHE_GB") or "50"
    try:
        return float(words) * GIGABYTE
    except ValueError:
        raise UsageError(f"STUDY_CACHE_GB={words}: allowed is a number of gigabytes") from None


def folder(dataset: str, policy: str) -> Path:
    """Return the bank's folder. Its name has a hash of all that the copies depend on: the policy's
    settings, the versions of albumentations and OpenCV and, of one's own data set, the file."""
    versions = f"{augment.albumentations_version()} OpenCV {augment.opencv_version()}"
    definition = f"{versions} {augment.POLICIES[policy]}"
    if datasets.is_own(dataset):  # the files of the others are always the same
        definition += f" {datasets.spec(dataset).files}"
    key = hashlib.sha256(definition.encode()).hexdigest()[:8]
    return files.cache_folder() / f"{files.file_name(dataset)}-{policy}-{key}"


def prepare(config: Config) -> None:
    """Make the copies that a run of this configuration needs and that are missing.

    Raises:
        UsageError: the bank would pass its size limit or the disk's free space.
        RunError: it cannot be written.
    """
    if config.augment == "none":
        return
    images = data.read(config.dataset)[0].images
    bank = folder(config.dataset, config.augment)
    missing = [copy for copy in range(config.epochs) if not _is_whole(_path(bank, copy), images)]
    if not missing:
        return
    _check_room(config, bank, images.nbytes, len(missing))
    if not sys.stderr.isatty():  # where a bar says so
        log.info(
            "making %d augmented copies of %s (%s), once for all its sweeps",
            len(missing), config.dataset, config.augment,
        )  # fmt: skip
    bar = tqdm(
        total=len(missing),
        desc=f"augmenting {config.dataset}, {config.augment}",
        unit="copy",
        disable=None,  # unless in a terminal
    )
    make = functools.partial(_write_copy, bank, config.dataset, config.augment)
    with bar:
        # A sweep's worker is a daemon, which may not start processes.
        daemon = multiprocessing.current_process().daemon
        if daemon or len(missing) * len(images) <= SMALL:
            for copy in missing:
                make(copy)
                bar.update()
            return
        with forks.pool(joblib.cpu_count()) as pool:
            try:
                for future in as_completed([pool.submit(make, copy) for copy in missing]):
                    future.result()
                    bar.update()
            finally:  # Ctrl-C
                pool.shutdown(cancel_futures=True)


def epoch_images(config: Config, dataset: data.Dataset, epoch: int) -> np.ndarray:
    """Return the training images of an epoch (1, 2, ...), uint8 [N, C, H, W], in the data set's
    order.

    Image i comes from copy (epoch + h(seed, i)) mod epochs of the bank, where h is a hash: over a
    run each image is seen once in each copy, and an epoch mixes all copies.
    """
    if config.augment == "none":
        return dataset.train.images
    copies, bank = epoch_copies(config, dataset, epoch), folder(config.dataset, config.augment)
    result = np.empty_like(dataset.train.images)
    for copy in range(config.epochs):
        chosen = np.flatnonzero(copies == copy)
        result[chosen] = _load(bank, copy)[dataset.train_indices[chosen]]
    return result


def epoch_copies(config: Config, dataset: data.Dataset, epoch: int) -> np.ndarray:
    """Return the copy of the bank that each training image of an epoch is taken from, int64 [N]."""
    return (first_copies(config, dataset) + epoch) % config.epochs


def first_copies(config: Config, dataset: data.Dataset) -> np.ndarray:
    """Return h(seed, i) of each training image i (see epoch_images), int64 [N]."""
    random = np.random.default_rng(seeds.derive(config.seed, seeds.COPY))
    drawn = random.integers(count_copies(config), size=dataset.spec.train_images)
    return drawn[dataset.train_indices]


def count_copies(config: Config) -> int:
    """Return how many copies `copies` yields."""
    return 1 if config.augment == "none" else config.epochs


def copies(config: Config, dataset: data.Dataset) -> Iterator[np.ndarray]:
    """Yield the copies of the bank, of the images trained on, each uint8 [N, C, H, W]; without
    augmentation, the images themselves."""
    if config.augment == "none":
        yield dataset.train.images
        return
    bank = folder(config.dataset, config.augment)
    for copy in range(config.epochs):
        yield _load(bank, copy)[dataset.train_indices]


def _load(bank: Path, copy: int) -> np.ndarray:
    return np.load(_path(bank, copy), mmap_mode="r")


def _path(bank: Path, copy: int) -> Path:
    return bank / f"{copy:05}.npy"


def _write_copy(bank: Path, dataset: str, policy: str, copy: int) -> None:
    images = augment.augmented(dataset, policy, copy)
    files.write(_path(bank, copy), lambda file: np.save(file, images, allow_pickle=False))


def _is_whole(path: Path, images: np.ndarray) -> bool:
    """Whether a file holds a copy of these images."""
    try:
        copy = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # missing, cut off, or another file
        return False
    return copy.shape == images.shape and copy.dtype == images.dtype


def _check_room(config: Config, bank: Path, copy_bytes: int, missing: int) -> None:
    """Refuse a bank over the limit, or larger than the disk has room for."""
    size, more = copy_bytes * config.epochs, copy_bytes * missing
    which = f"augment={config.augment}: its bank of {config.epochs} copies"
    if size > limit():
        raise UsageError(
            f"{which} takes {size / GIGABYTE:.2f} GB, over the limit of"
            f" {limit() / GIGABYTE:g} GB: train fewer epochs or raise STUDY_CACHE_GB"
        )
    files.check_writable(bank)
    free = shutil.disk_usage(bank).free
    if more > free:
        raise UsageError(
            f"{which} takes {more / GIGABYTE:.2f} GB more in {bank}, which has"
            f" {free / GIGABYTE:.2f} GB free: make room, or point STUDY_CACHE to another disk"
        )
