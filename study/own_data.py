"""One's own data set: NAME.npz, checked as it is read, and its facts, saved beside it as JSON."""

import functools
import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from study import files
from study.errors import RunError, UsageError, first_line
from study.values import kind_and_shape

IMAGES = "uint8 [N, H, W] or [N, H, W, C], C 1 or 3, square, at least 12 wide"
SMALLEST = 12  # pixels, a side
CLASS_NAMES = "class_names"  # an array that the file may have, too
CLASS_NAME = re.compile(r"\w[\w .()+'/-]{0,39}")
CHUNK = 10_000  # images counted at once, since counting takes eight times their memory


class Arrays(NamedTuple):
    """The arrays of the file: images as uint8 [N, C, H, W], labels as int64 [N]."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


class Facts(NamedTuple):
    """A file's facts, known without reading its arrays; mean and std are on the scale 0 to 1."""

    md5: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_images: int
    test_images: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read(path: Path) -> Arrays:
    """Read a file and check it.

    Raises:
        UsageError: no such file, or an array in it is not what it should be.
    """
    raw = _load(path)
    for part in ("train", "test"):
        _check_part(path, part, raw[f"{part}_images"], raw[f"{part}_labels"])
    train, test = _channels_first(raw["train_images"]), _channels_first(raw["test_images"])
    if train.shape[1:] != test.shape[1:]:
        raise UsageError(
            f"{path}: test_images is {kind_and_shape(raw['test_images'])}, but train_images is"
            f" {kind_and_shape(raw['train_images'])}; allowed is one size and one number of"
            " channels"
        )
    classes = _check_classes(path, raw["train_labels"])
    foreign = raw["test_labels"][raw["test_labels"] >= classes]
    if foreign.size:
        raise UsageError(
            f"{path}: test_labels has {foreign[0]}; allowed are 0 to {classes - 1}, the classes of"
            " train_labels"
        )
    labels = raw["train_labels"].astype(np.int64), raw["test_labels"].astype(np.int64)
    return Arrays(train, labels[0], test, labels[1])


def facts(path: Path) -> Facts:
    """Look up a file's facts in the JSON file beside it, or compute and save them there.

    Where that folder cannot be written, the JSON file goes to STUDY_CACHE. Facts with another MD5
    than the file's are of an older version and are computed again.

    Raises:
        UsageError: as `read`.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _facts(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _facts(path: Path, _size: int, _modified: int) -> Facts:
    try:
        with open(path, "rb") as stream:
            md5 = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    places = path.with_suffix(".json"), files.cache_folder() / path.with_suffix(".json").name
    for place in places:
        saved = _saved(place)
        if saved and saved.md5 == md5:
            return saved
    computed = _compute(path, md5)
    _save(computed, *places)
    return computed


def _compute(path: Path, md5: str) -> Facts:
    arrays = read(path)
    images = arrays.train_images
    mean, std = statistics(images)
    for channel, value in enumerate(std):
        if not value:
            raise UsageError(
                f"{path}: train_images has one value in all of channel {channel}; allowed are"
                " channels that vary, since images are divided by their standard deviation"
            )
    names = _class_names(path, int(arrays.train_labels.max()) + 1)
    return Facts(md5, images.shape[1:], names, len(images), len(arrays.test_images), mean, std)


def numbered(classes: int) -> tuple[str, ...]:
    """The names of classes that have none: 0, 1, ..."""
    return tuple(map(str, range(classes)))


def are_class_names(names: Sequence[str], classes: int) -> bool:
    """Whether these are names of so many classes, each another, which figures can show."""
    return len(set(names)) == len(names) == classes and all(map(CLASS_NAME.fullmatch, names))


def _class_names(path: Path, classes: int) -> tuple[str, ...]:
    """Read the names of the classes; numbers where the file has none."""
    array = _read_array(path, CLASS_NAMES)
    if array is None:
        return numbered(classes)
    names = tuple(map(str, array.tolist())) if array.dtype.kind == "U" and array.ndim == 1 else ()
    if not are_class_names(names, classes):
        raise UsageError(
            f"{path}: {CLASS_NAMES} is {names or kind_and_shape(array)}; allowed are {classes}"
            " different texts, one a class, of 1 to 40 letters, digits, spaces and . ( ) + ' / -"
        )
    return names


def statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation by channel of uint8 [N, C, H, W], on the scale 0 to 1."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK, channel]
            counts += np.bincount(chunk.ravel(), minlength=256)
        shares = counts / counts.sum()
        means.append(float(shares @ values))
        deviations.append(float(np.sqrt(shares @ (values - means[-1]) ** 2)))
    return tuple(means), tuple(deviations)


def _saved(place: Path) -> Facts | None:
    """The facts in a JSON file; None where it is missing or holds something else."""
    try:
        content = files.read_json(place)
    except UsageError:
        return None
    if not isinstance(content, dict) or content.keys() != set(Facts._fields):
        return None
    try:
        lists = {name: tuple(content[name]) for name in ("shape", CLASS_NAMES, "mean", "std")}
    except TypeError:
        return None
    return Facts(**(content | lists))


def _save(computed: Facts, *places: Path) -> None:
    """Write the facts to the first place that can be written, if any, and is not the user's own."""
    for place in places:
        if place.exists() and not _saved(place):
            continue
        try:
            files.write_json(place, computed._asdict())
            return
        except RunError:  # a folder that is read only; the next one may not be
            continue


def _load(path: Path) -> dict[str, np.ndarray]:
    """Read the four arrays as they are, unpickling nothing."""
    if not path.is_file():
        raise _unreadable(path, FileNotFoundError(2, "No such file"))
    if not zipfile.is_zipfile(path):
        raise UsageError(
            f"{path}: is no .npz file, or was cut off; write it with numpy.savez_compressed"
        )
    raw = {}
    for name in Arrays._fields:
        array = _read_array(path, name)
        if array is None:
            raise UsageError(f"{path}: {name} is missing; it needs {', '.join(Arrays._fields)}")
        raw[name] = array
    return raw


def _read_array(path: Path, name: str) -> np.ndarray | None:
    """Read an array of the file as it is; None where the file has none of this name."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name] if name in archive.files else None
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # numpy and zipfile raise many kinds for damage and pickles
        raise UsageError(
            f"{path}: {name} cannot be read ({first_line(error)}); allowed are plain arrays,"
            " written with numpy.savez_compressed"
        ) from error


def _check_part(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Refuse images or labels of a wrong type or shape."""
    if not _is_images(images):
        raise UsageError(f"{path}: {part}_images is {kind_and_shape(images)}; allowed is {IMAGES}")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UsageError(
            f"{path}: {part}_labels is {kind_and_shape(labels)}; allowed are whole numbers"
            f" [{len(images)}], one an image"
        )
    if labels.min() < 0:
        raise UsageError(
            f"{path}: {part}_labels has {labels.min()}; allowed are whole numbers from 0"
        )


def _is_images(array: np.ndarray) -> bool:
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not len(array):
        return False
    _, height, width, *channels = array.shape
    return height == width >= SMALLEST and channels in ([], [1], [3])


def _check_classes(path: Path, labels: np.ndarray) -> int:
    """Count the classes; refuse numbers that leave one out."""
    found = np.unique(labels)
    if len(found) < 2:
        raise UsageError(
            f"{path}: train_labels has {found[0]} alone; allowed are 2 classes or more"
        )
    if found[-1] != len(found) - 1:
        missing = int(np.flatnonzero(found != np.arange(len(found)))[0])
        raise UsageError(
            f"{path}: train_labels has {found[-1]} but no {missing}; allowed are 0 to the number of"
            " classes less one, each at least once"
        )
    return len(found)


def _channels_first(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _unreadable(path: Path, error: OSError) -> UsageError:
    if (folder := path.with_suffix("")).is_dir():
        return UsageError(
            f"{path}: no such file, and {folder} is a folder; put its images into one file (how:"
            " docs/extending.md, A data set)"
        )
    return UsageError(
        f"{path}: cannot be read ({error.strerror or error}); put it there, or point STUDY_DATA to"
        " the folder that has it"
    )
