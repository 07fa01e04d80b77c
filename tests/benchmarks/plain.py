"""The peer that training is measured against: a run a process, as a careful user of W&B writes it.

torchvision's data sets and transforms, a DataLoader, the network from timm with torch's own
dropout, a line to W&B each epoch. `wandb agent` starts it; LOADERS in the environment sets
num_workers.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
import wandb
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

import study.train.backbones  # noqa: F401 (the networks, among timm's)
from study import datasets, files
from study.train import data, dropout, norms

Settings = dict[str, Any]


class Digits(Dataset):
    """scikit-learn's scans, as torchvision gives its own sets."""

    def __init__(self, _root: Path, train: bool, transform: Callable[[Any], Any]) -> None:
        self.split, self.transform = data.read("digits")[0 if train else 1], transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.split.images[index, 0])
        return self.transform(image), int(self.split.labels[index])


SETS = {
    "digits": Digits,
    "mnist": torchvision.datasets.MNIST,
    "cifar10": torchvision.datasets.CIFAR10,
}


def loader(
    config: Settings, train: bool, workers: int, device: torch.device, limit: int | None = None
) -> DataLoader:
    """Batches of the training or test images, of the first `limit` of them where that is given."""
    spec = datasets.spec(config["dataset"])
    steps = [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    if train and config["augment"] == "rotate7":
        steps.insert(0, transforms.RandomRotation(7, fill=0))
    images = SETS[config["dataset"]](files.data_folder(), train, transforms.Compose(steps))
    if limit:
        images = Subset(images, range(min(limit, len(images))))
    return DataLoader(
        images,
        batch_size=config["batch_size"] if train else 500,
        shuffle=train,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )


def build(config: Settings) -> nn.Module:
    options = {"groups": config["groups"]} if config["norm"] == "group" else {}
    network = timm.create_model(
        config["network"], norm=config["norm"], dropout=config["dropout"], **options
    )
    for name, module in list(network.named_modules()):
        if isinstance(module, norms.BatchNorm2d):  # ours are faster
            plain = nn.BatchNorm2d(module.num_features, affine=module.affine)
            network.set_submodule(name, plain)
        elif isinstance(module, dropout.Dropout):
            network.set_submodule(name, nn.Dropout(module.p))
        elif isinstance(module, dropout.Dropout2d):
            network.set_submodule(name, nn.Dropout2d(module.p))
    return network


class Trainer:
    """A network and its optimizer on the device at hand, seeded."""

    def __init__(self, config: Settings) -> None:
        torch.manual_seed(config["seed"])
        torch.backends.cudnn.benchmark = True
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.l1 = config["l1"]
        self.network = build(config).to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), config["lr"], momentum=0.9)

    def train(self, batches: DataLoader) -> float:
        """One epoch; its mean loss."""
        self.network.train()
        total = torch.zeros((), device=self.device)  # read once: each look waits for a GPU
        for images, labels in self._on_device(batches):
            loss = F.cross_entropy(self.network(images), labels)
            total += loss.detach() * len(labels)
            if self.l1:
                loss = loss + self.l1 * sum(p.abs().sum() for p in self.network.parameters())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return total.item() / len(batches.dataset)

    @torch.inference_mode()
    def accuracy(self, batches: DataLoader) -> float:
        """In percent."""
        self.network.eval()
        right = torch.zeros((), device=self.device)
        for images, labels in self._on_device(batches):
            right += (self.network(images).argmax(1) == labels).sum()
        return 100 * right.item() / len(batches.dataset)

    def _on_device(self, batches: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches:
            yield tuple(part.to(self.device, non_blocking=True) for part in batch)


def fit(config: Settings, workers: int, log: Callable[[dict[str, float]], Any]) -> None:
    """Train a configuration, testing after each epoch; `log` gets each epoch's line."""
    trainer = Trainer(config)
    batches = loader(config, True, workers, trainer.device)
    tests = loader(config, False, workers, trainer.device)
    for epoch in range(1, config["epochs"] + 1):
        loss = trainer.train(batches)
        log({"epoch": epoch, "train/loss": loss, "test/accuracy": trainer.accuracy(tests)})


def epoch_seconds(config: Settings, workers: int, limit: int = 6000) -> float:
    """What an epoch of the first `limit` training images takes once the workers have started."""
    trainer = Trainer(config)
    batches = loader(config, True, workers, trainer.device, limit)
    trainer.train(batches)
    began = time.perf_counter()
    trainer.train(batches)
    return time.perf_counter() - began


def main() -> None:
    with wandb.init() as run:
        fit(dict(run.config), int(os.environ.get("LOADERS", 0)), run.log)


if __name__ == "__main__":
    main()
