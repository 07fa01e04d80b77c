"""Golden figures: the losses of the first ten steps of every network with every norm.

    python -m tests.golden.losses

writes losses.json anew: only where a run's numbers are meant to change. In float64, on images and
weights without ties (tests/untied.py), so that they hold to 1e-9 on any processor.
"""

import json
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from study import datasets
from study.config import Config
from study.train import data, loop
from study.train.callback import Callback
from study.train.pack import Pack
from tests import untied

FILE = Path(__file__).parent / "losses.json"
CPU = torch.device("cpu")
BATCH, TRAIN, TEST = 4, 19, 8  # images: an epoch has five steps, the last of three images
EPOCHS = 2  # that are trained, of the configurations' four
NETWORKS = ("mnist_7684", "mnist_8008", "mnist_9680", "mnist_9802", "cifar_48178")
NORMS = (
    {"norm": "batch"},
    {"norm": "batch", "norm_affine": "none"},
    {"norm": "layer"},
    {"norm": "layer", "norm_affine": "element"},
    {"norm": "layer", "norm_affine": "none"},
    {"norm": "group", "groups": 5},
    {"norm": "group", "groups": 2, "norm_affine": "none"},
    {"norm": "instance"},
    {"norm": "none"},
)
# Two models of each: between them every setting that models of a pack may differ in.
MODELS = (
    {"schedule": "onecycle", "lr": 0.02, "dropout": 0.1, "l1": 1e-4, "seed": 1}
    | {"nesterov": True},
    {"schedule": "step", "gamma": 0.5, "lr": 0.02, "l1": 1e-2, "l1_reduction": "mean"}
    | {"weight_decay": 1e-3, "label_smoothing": 0.1, "momentum": 0.8, "seed": 2},
)


def configs(network: str, norm: dict) -> list[Config]:
    common = {"network": network, "epochs": 4, "batch_size": BATCH, "precision": "float64"}
    common["dataset"] = "cifar10" if network.startswith("cifar") else "digits"
    return [Config(**(common | norm | model)) for model in MODELS]


def dataset(config: Config) -> data.Dataset:
    """Make images of ten classes: a rectangle, at another place for each class."""
    shape = (3, 32, 32) if config.dataset == "cifar10" else (1, 28, 28)

    def made(count: int, seed: int) -> data.Split:
        random = np.random.RandomState(seed)
        labels = random.randint(0, 10, count)
        images = np.zeros((count, *shape), np.uint8)
        for image, label in zip(images, labels):
            top, left = 2 + label // 4 * 8, 2 + label % 4 * 6
            image[:, top : top + 6, left : left + 5] = 255
        return data.Split(untied.images(images, seed), labels.astype(np.int64))

    return data.Dataset(
        spec=datasets.spec(config.dataset),
        train=made(TRAIN, 1),
        validation=None,
        test=made(TEST, 2),
        train_indices=np.arange(TRAIN),
    )


class Steps(Callback):
    """Records the mean loss of each step, from the epoch's mean so far."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.sum_before = 0.0

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        seen = min(BATCH * done, TRAIN)
        size = seen - BATCH * (done - 1)
        self.losses.append((loss * seen - self.sum_before) / size)
        self.sum_before = loss * seen if done < steps else 0.0


def as_golden():
    """Return the patches under which runs train on the made-up images and report every step."""
    torch.set_num_threads(1)
    return mock.patch.multiple(data, load=dataset), mock.patch.multiple(
        loop, initialized=untied.initialized, PROGRESS_INTERVAL=-1.0
    )


def key(config: Config) -> str:
    """Return the name of a configuration's losses in the file."""
    affine = "" if config.norm_affine == "channel" else f"-{config.norm_affine}"
    return f"{config.network} {config.norm}{affine} seed {config.seed}"


def by_the_loop(config: Config) -> list[float]:
    steps, training = Steps(), loop.Training(config, CPU)
    for _ in range(EPOCHS):
        training.epoch(steps)
    return steps.losses


def in_a_pack(configs: list[Config]) -> list[list[float]]:
    steps, pack = [Steps() for _ in configs], Pack(configs, [None for _ in configs], CPU)
    for epoch in range(1, EPOCHS + 1):
        pack.epoch(epoch, steps)
    return [recorder.losses for recorder in steps]


def main() -> None:
    images, steps = as_golden()
    with images, steps:
        by_name = {
            key(config): by_the_loop(config)
            for network in NETWORKS
            for norm in NORMS
            for config in configs(network, norm)
        }
    lines = [f" {json.dumps(name)}: {json.dumps(losses)}" for name, losses in by_name.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
