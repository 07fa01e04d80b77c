"""The data sets as uint8 arrays in memory, checked; train, validation and test split."""

import contextlib
import functools
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.config import TRAIN_IMAGES, Config
from study.errors import UsageError

DIGITS = tuple("0123456789")
GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
            "ankle boot")  # fmt: skip
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
           "truck")  # fmt: skip

CLASS_NAMES = {
    "digits": DIGITS,
    "mnist": DIGITS,
    "fashion_mnist": GARMENTS,
    "cifar10": OBJECTS,
}

# MD5 of the unpacked files; torchvision itself knows those of the MNIST archives only.
IDX_FILES = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
CIFAR_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, C, H, W]; labels: int64 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation by channel of the training images, on the scale 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


TEST_IMAGES = {"digits": 360, "mnist": 10_000, "fashion_mnist": 10_000, "cifar10": 10_000}

# tests/train/test_data.py computes each again from the training images.
_COMPUTED = "computed over the training images"
STATISTICS = {
    "digits": Statistics((0.3054,), (0.3247,), _COMPUTED),
    "mnist": Statistics((0.1307,), (0.3081,), "the published studies; " + _COMPUTED),
    "fashion_mnist": Statistics((0.2860,), (0.3530,), _COMPUTED),
    "cifar10": Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), _COMPUTED),
}


@dataclass(frozen=True)
class Dataset:
    """A data set, split. `kept` are the indices of `train` in the full training set, which the
    bank of augmented copies is made of; `validation` is None without a holdout."""

    name: str
    train: Split
    validation: Split | None
    test: Split
    kept: np.ndarray
    statistics: Statistics
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Where a data set's files lie, their MD5, and how they are read and fetched."""

    folder: str
    files: dict[str, str]
    read: Callable[[Path], tuple[Split, Split]]
    torchvision: str


def root() -> Path:
    """The folder of the data sets: STUDY_DATA, else `data`."""
    return Path(os.environ.get("STUDY_DATA") or "data")


def load(config: Config) -> Dataset:
    """The data set of a configuration, its validation images split off.

    Raises:
        UsageError: a file is missing and cannot be downloaded, or is not what it should be.
    """
    full, test = read(config.dataset)
    kept, held = _holdout(config.dataset, config.holdout)
    return Dataset(
        name=config.dataset,
        train=Split(full.images[kept], full.labels[kept]) if len(held) else full,
        validation=Split(full.images[held], full.labels[held]) if len(held) else None,
        test=test,
        kept=kept,
        statistics=STATISTICS[config.dataset],
        classes=CLASS_NAMES[config.dataset],
    )


def there(name: str) -> bool:
    """Whether all files of a data set exist, whole or not."""
    if name == "digits":
        return True
    source = _SOURCES[name]
    return all((root() / source.folder / file).exists() for file in source.files)


@functools.lru_cache(maxsize=2)
def read(name: str) -> tuple[Split, Split]:
    """The full training set and the test set, downloaded first where they are missing.

    Raises:
        UsageError: as `load`.
    """
    if name == "digits":
        return _read_digits()
    source = _SOURCES[name]
    folder = root() / source.folder
    if not there(name):
        _download(name, source, folder)
    for file, md5 in source.files.items():
        _check(name, folder / file, md5)
    return source.read(folder)


@functools.lru_cache(maxsize=4)
def _holdout(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices kept for training and held out: stratified, fixed, the same for every seed."""
    indices = np.arange(TRAIN_IMAGES[name])
    if not count:
        return indices, indices[:0]
    from sklearn.model_selection import train_test_split

    labels = read(name)[0].labels
    kept, held = train_test_split(indices, test_size=count, stratify=labels, random_state=0)
    return np.sort(kept), np.sort(held)


def _read_digits() -> tuple[Split, Split]:
    """scikit-learn's 1,797 scans of 8x8 in 17 greys, made 28x28; a fifth is the test set."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    small = torch.from_numpy(digits.images / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(small, (28, 28), mode="bilinear", antialias=False)
    images = large.mul(255).round().to(torch.uint8).numpy()
    train, test = train_test_split(
        np.arange(len(images)),
        test_size=TEST_IMAGES["digits"],
        stratify=digits.target,
        random_state=0,
    )
    return tuple(
        Split(images[part], digits.target[part].astype(np.int64)) for part in (train, test)
    )


def _read_idx(folder: Path) -> tuple[Split, Split]:
    def values(file: str, header: int) -> np.ndarray:
        return np.fromfile(folder / file, dtype=np.uint8, offset=header)

    return tuple(
        Split(
            values(f"{part}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28),
            values(f"{part}-labels-idx1-ubyte", 8).astype(np.int64),
        )
        for part in ("train", "t10k")
    )


def _read_cifar(folder: Path) -> tuple[Split, Split]:
    def batch(file: str) -> tuple[np.ndarray, list[int]]:
        with open(folder / file, "rb") as stream:  # its MD5 is checked: no foreign pickle
            content = pickle.load(stream, encoding="latin1")
        return content["data"].reshape(-1, 3, 32, 32), content["labels"]

    batches = [batch(file) for file in CIFAR_FILES]
    *train, test = [Split(images, np.array(labels, np.int64)) for images, labels in batches]
    images = np.concatenate([split.images for split in train])
    return Split(images, np.concatenate([split.labels for split in train])), test


_SOURCES = {
    "mnist": _Source("MNIST/raw", IDX_FILES["mnist"], _read_idx, "MNIST"),
    "fashion_mnist": _Source(
        "FashionMNIST/raw", IDX_FILES["fashion_mnist"], _read_idx, "FashionMNIST"
    ),
    "cifar10": _Source("cifar-10-batches-py", CIFAR_FILES, _read_cifar, "CIFAR10"),
}


def _check(name: str, path: Path, md5: str) -> None:
    """Refuse a file that is not, to the bit, the published one."""
    try:
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); allow reading it") from error
    if found != md5:
        raise UsageError(
            f"{path}: {path.stat().st_size:,} bytes with MD5 {found}, expected MD5 {md5}:"
            f" truncated or altered; delete it and run `study check --dataset {name}`"
            " to download it again"
        )


def _download(name: str, source: _Source, folder: Path) -> None:
    """Fetch what is missing through torchvision, into a folder beside, then move it in place."""
    import torchvision

    missing = [file for file in source.files if not (folder / file).exists()]
    try:
        root().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root(), prefix=".download-") as beside:
            with contextlib.redirect_stdout(None):
                getattr(torchvision.datasets, source.torchvision)(beside, download=True)
            folder.mkdir(parents=True, exist_ok=True)
            for file in missing:
                os.replace(Path(beside) / source.folder / file, folder / file)
    except (OSError, RuntimeError) as error:  # torchvision: RuntimeError when no mirror answers
        reason = str(error).strip().splitlines()[0].rstrip(":")
        with contextlib.suppress(OSError):
            root().rmdir()  # only where it is empty
        raise UsageError(
            f"{folder / missing[0]}: missing, and {name} could not be downloaded ({reason}):"
            " connect to the network, point STUDY_DATA to a folder that has"
            f" {source.folder}, or use dataset=digits, which needs neither"
        ) from error
