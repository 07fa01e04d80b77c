"""The data sets as uint8 arrays in memory, checked and split into train, validation and test."""

import contextlib
import functools
import hashlib
import http.client
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study import datasets, files, own_data, values
from study.config import Config
from study.datasets import DatasetSpec
from study.errors import UsageError

DOWNLOAD = ".download-"  # begins the name of a folder that a download is in
DAY = 24 * 3600  # seconds


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, C, H, W]; labels: int64 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Split":
        """Return the part of these indices."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A data set, split.

    validation: None without a holdout. train_indices: of `train` in the full training set, which
    the bank of augmented copies is made of.
    """

    spec: DatasetSpec
    train: Split
    validation: Split | None
    test: Split
    train_indices: np.ndarray

    @property
    def evaluated(self) -> dict[str, Split]:
        """The splits that a network is evaluated on after each epoch, by their names in history."""
        validation = {} if self.validation is None else {"val": self.validation}
        return validation | {"test": self.test}


def load(config: Config) -> Dataset:
    """Load the data set of a configuration and split the validation images off.

    Raises:
        UsageError: a file is missing and cannot be downloaded, or is not what it should be; or
            the holdout does not suit one's own data set.
    """
    spec = datasets.spec(config.dataset)
    spec.check_holdout(config.holdout)  # Config has checked it where the data set is no file
    full, test = read(config.dataset)
    if not config.holdout:
        return Dataset(spec, full, None, test, np.arange(len(full)))
    train, validation = _split(spec, config.holdout)
    return Dataset(spec, full.take(train), full.take(validation), test, train)


def read(name: str) -> tuple[Split, Split]:
    """Read the full training set and the test set, downloaded first where they are missing.

    Raises:
        UsageError: a file is missing and cannot be downloaded, or is not what it should be.
    """
    return _read(datasets.spec(name), files.data_folder())


@functools.lru_cache(maxsize=2)
def _read(spec: DatasetSpec, root: Path) -> tuple[Split, Split]:
    folder = root / spec.folder
    if not datasets.is_own(spec.name):  # own_data.py checks one's own
        if missing := _missing_files(spec, root):
            _download(spec, root, missing)
        for file, md5 in spec.files.items():
            _check(spec, folder / file, md5)
    splits = READERS[spec.format](spec, folder)
    for split, images in zip(splits, (spec.train_images, spec.test_images)):
        _check_row(spec, split, images)
    return splits


def _check_row(spec: DatasetSpec, split: Split, images: int) -> None:
    """Check a split against the data set's row, which the networks follow."""
    found, row = values.kind_and_shape(split.images), f"uint8 {[images, *spec.shape]}"
    if found != row:
        raise UsageError(
            f"{spec.name}: its images are {found}, by its row in study/datasets.py {row}"
        )
    labels = np.unique(split.labels)
    if len(split.labels) != images or labels[0] < 0 or labels[-1] >= spec.num_classes:
        raise UsageError(
            f"{spec.name}: it has {len(split.labels):,} labels, {labels[0]} to {labels[-1]}, by its"
            f" row in study/datasets.py {images:,}, 0 to {spec.num_classes - 1}"
        )


def is_present(name: str) -> bool:
    """Whether all files of a data set exist, intact or not."""
    if datasets.is_own(name):
        return datasets.own_path(name).exists()
    return not _missing_files(datasets.spec(name), files.data_folder())


def _missing_files(spec: DatasetSpec, root: Path) -> list[str]:
    return [file for file in spec.files if not (root / spec.folder / file).exists()]


@functools.lru_cache(maxsize=4)
def _split(spec: DatasetSpec, holdout: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose the indices to train on and to validate on: stratified, the same for every seed."""
    from sklearn.model_selection import train_test_split

    labels = read(spec.name)[0].labels
    counts = np.bincount(labels)
    if counts.min() < 2:
        raise UsageError(
            f"holdout={holdout}: {spec.name} has one training image of class"
            f" {spec.class_names[counts.argmin()]}; allowed are classes of 2 or more, or holdout=0"
        )
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=holdout, stratify=labels, random_state=0
    )
    for part, chosen in (("training", train), ("validation", validation)):
        lacks = np.flatnonzero(np.bincount(labels[chosen], minlength=spec.num_classes) == 0)
        if lacks.size:
            raise UsageError(
                f"holdout={holdout}: leaves no {part} image of class {spec.class_names[lacks[0]]}"
                f" of {spec.name}; allowed are 0 and what leaves some of each in both parts"
            )
    return np.sort(train), np.sort(validation)


# The formats of files: a reader each, from the data set's row and folder to its two splits.


def _read_digits(spec: DatasetSpec, _folder: Path) -> tuple[Split, Split]:
    """Read scikit-learn's 1,797 scans of 8x8 in 17 greys, enlarged; a fifth is the test set."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    small = torch.from_numpy(digits.images / 16).unsqueeze(1)
    size = spec.shape[1:]
    large = torch.nn.functional.interpolate(small, size, mode="bilinear", antialias=False)
    images = large.mul(255).round().to(torch.uint8).numpy()
    train, test = train_test_split(
        np.arange(len(images)),
        test_size=spec.test_images,
        stratify=digits.target,
        random_state=0,
    )
    whole = Split(images, digits.target.astype(np.int64))
    return whole.take(train), whole.take(test)


def _read_idx(spec: DatasetSpec, folder: Path) -> tuple[Split, Split]:
    """Read MNIST's format: in the row's order images and labels to train on, and to test on."""

    def values(file: str, header: int) -> np.ndarray:
        return np.fromfile(folder / file, dtype=np.uint8, offset=header)

    def split(images: str, labels: str) -> Split:
        pixels = values(images, 16).reshape(-1, *spec.shape)
        return Split(pixels, values(labels, 8).astype(np.int64))

    train_images, train_labels, test_images, test_labels = spec.files
    return split(train_images, train_labels), split(test_images, test_labels)


def _read_cifar(spec: DatasetSpec, folder: Path) -> tuple[Split, Split]:
    """Read CIFAR's pickles: in the row's order those to train on, then the one to test on."""

    def split(file: str) -> Split:
        with open(folder / file, "rb") as stream:  # its MD5 is checked: no foreign pickle
            content = pickle.load(stream, encoding="latin1")
        labels = content["fine_labels" if "fine_labels" in content else "labels"]
        return Split(content["data"].reshape(-1, *spec.shape), np.array(labels, np.int64))

    *train, test = map(split, spec.files)
    images = np.concatenate([part.images for part in train])
    return Split(images, np.concatenate([part.labels for part in train])), test


def _read_npz(spec: DatasetSpec, folder: Path) -> tuple[Split, Split]:
    """Read one's own data set."""
    [file] = spec.files
    arrays = own_data.read(folder / file)
    return (
        Split(arrays.train_images, arrays.train_labels),
        Split(arrays.test_images, arrays.test_labels),
    )


READERS: dict[str, Callable[[DatasetSpec, Path], tuple[Split, Split]]] = {
    "digits": _read_digits,
    "idx": _read_idx,
    "cifar": _read_cifar,
    "npz": _read_npz,
}


def _check(spec: DatasetSpec, path: Path, md5: str) -> None:
    """Refuse a file that is not, to the bit, the published one."""
    try:
        with open(path, "rb") as stream:
            actual = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); allow reading it") from error
    if actual != md5:
        remedy = "put the original there"
        if spec.torchvision:
            remedy = f"delete it and run `study check --dataset {spec.name}` to download it again"
        raise UsageError(
            f"{path}: {path.stat().st_size:,} bytes with MD5 {actual}, expected MD5 {md5}:"
            f" truncated or altered; {remedy}"
        )


def _clear_downloads(root: Path) -> None:
    """Remove what killed processes left of downloads, which take no day."""
    for left in root.glob(f"{DOWNLOAD}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left)


def _download(spec: DatasetSpec, root: Path, missing: list[str]) -> None:
    """Fetch missing files through torchvision: into a temporary folder, then into place."""
    import torchvision

    folder = root / spec.folder
    if spec.torchvision is None:
        raise UsageError(
            f"{folder / missing[0]}: missing; put it there, or point STUDY_DATA to a folder that"
            f" has {spec.folder}"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        _clear_downloads(root)
        with tempfile.TemporaryDirectory(dir=root, prefix=DOWNLOAD) as temporary:
            with contextlib.redirect_stdout(None):
                getattr(torchvision.datasets, spec.torchvision)(temporary, download=True)
            folder.mkdir(parents=True, exist_ok=True)
            for file in missing:
                os.replace(Path(temporary) / spec.folder / file, folder / file)
    # torchvision: RuntimeError when no mirror answers
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        with contextlib.suppress(OSError):
            root.rmdir()  # only where it is empty
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        first, *others = lines or [type(error).__name__]
        reason = ": ".join([first.rstrip(":"), *others[-1:]])  # of the last mirror
        raise UsageError(
            f"{folder / missing[0]}: missing, and {spec.name} could not be downloaded ({reason}):"
            " connect to the network, point STUDY_DATA to a folder that has"
            f" {spec.folder}, or use dataset=digits, which needs neither"
        ) from error
