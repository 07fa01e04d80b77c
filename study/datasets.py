"""The data sets: one row for each, with everything the other modules ask. (No torch.)

A new data set is one more row; where its file format is new, train/data.py gets a reader for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from study import files, own_data
from study.errors import UsageError


@dataclass(frozen=True)
class DatasetSpec:
    """A data set, as known before its images are read.

    shape: of an image, (channels, height, width). mean, std: by channel of the training images, on
    the scale 0 to 1; statistics_source: where they are from. format: the reader in train/data.py.
    folder: below STUDY_DATA. files: their names, in the reader's order, and their MD5.
    torchvision: its class that downloads them.
    """

    name: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_images: int
    test_images: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    statistics_source: str
    format: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    torchvision: str | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def check_holdout(self, holdout: int) -> None:
        """Refuse a holdout that leaves a class without a training or a validation image.

        Raises:
            UsageError: neither 0 nor within the bounds.
        """
        least, most = self.num_classes, self.train_images - self.num_classes
        if holdout and not least <= holdout <= most:
            raise UsageError(
                f"holdout={holdout}: {self.name} allows 0, or {least} to {most} images"
            )


TEN_DIGITS = tuple("0123456789")
# tests/train/test_data.py computes mean and std again where the data set is at hand.
COMPUTED = "computed over the training images"

ROWS = (
    DatasetSpec(
        name="digits",
        shape=(1, 28, 28),
        class_names=TEN_DIGITS,
        train_images=1437,
        test_images=360,
        mean=(0.3054,),
        std=(0.3247,),
        statistics_source=COMPUTED,
        format="digits",
    ),
    DatasetSpec(
        name="mnist",
        shape=(1, 28, 28),
        class_names=TEN_DIGITS,
        train_images=60_000,
        test_images=10_000,
        mean=(0.1307,),
        std=(0.3081,),
        statistics_source=f"the published studies; {COMPUTED}",
        format="idx",
        folder="MNIST/raw",
        # MD5 of the unpacked files; torchvision itself knows those of the archives only.
        files={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        torchvision="MNIST",
    ),
    DatasetSpec(
        name="fashion_mnist",
        shape=(1, 28, 28),
        class_names=(
            "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
            "ankle boot",
        ),
        train_images=60_000,
        test_images=10_000,
        mean=(0.2860,),
        std=(0.3530,),
        statistics_source=COMPUTED,
        format="idx",
        folder="FashionMNIST/raw",
        files={
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
        torchvision="FashionMNIST",
    ),
    DatasetSpec(
        name="cifar10",
        shape=(3, 32, 32),
        class_names=(
            "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
            "truck",
        ),
        train_images=50_000,
        test_images=10_000,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        statistics_source=COMPUTED,
        format="cifar",
        folder="cifar-10-batches-py",
        files={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        torchvision="CIFAR10",
    ),
    DatasetSpec(
        name="cifar100",
        shape=(3, 32, 32),
        class_names=(
            "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
            "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
            "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
            "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
            "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
            "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
            "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear",
            "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit",
            "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
            "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
            "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train",
            "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman",
            "worm",
        ),
        train_images=50_000,
        test_images=10_000,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        statistics_source="the commonly published figures",
        format="cifar",
        folder="cifar-100-python",
        files={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        },
        torchvision="CIFAR100",
    ),
)  # fmt: skip
DATASETS = {row.name: row for row in ROWS}

OWN = "own:"
OWN_NAME = re.compile(r"own:[A-Za-z0-9._-]+")
OWN_WORDS = "own:NAME (NAME.npz in STUDY_DATA; NAME of letters, digits, `.`, `-` and `_`)"


def is_own(name: str) -> bool:
    """Whether a name is that of one's own data set; its file need not be there."""
    return OWN_NAME.fullmatch(name) is not None


def own_path(name: str) -> Path:
    """Return the file of one's own data set."""
    return files.data_folder() / f"{name.removeprefix(OWN)}.npz"


def is_known(name: str) -> bool:
    """Whether `spec` knows a data set on this machine, where one's own may be missing."""
    return name in DATASETS or own_path(name).exists()


def spec(name: str) -> DatasetSpec:
    """Look a data set up; of `own:NAME`, by its file.

    Raises:
        UsageError: the file of one's own data set is missing, or not what it should be.
    """
    if not is_own(name):
        return DATASETS[name]
    path = own_path(name)
    facts = own_data.facts(path)
    return DatasetSpec(
        name=name,
        shape=facts.shape,
        class_names=facts.class_names,
        train_images=facts.train_images,
        test_images=facts.test_images,
        mean=facts.mean,
        std=facts.std,
        statistics_source=COMPUTED,
        format="npz",
        files={path.name: facts.md5},
    )
