"""The peer that training is measured against: a run a process, as a careful user of W&B writes it.

torchvision's data sets and transforms, a DataLoader, the network from timm with torch's own
dropout, a line to W&B each epoch. `wandb agent` starts it; IMAGES and LOADERS in the environment
cut the data sets and set num_workers.
"""

import os

import timm
import torch
import torchvision
import wandb
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

import study.train.backbones  # noqa: F401 (the networks, among timm's)
from study.train import data, dropout

SETS = {"mnist": torchvision.datasets.MNIST, "cifar10": torchvision.datasets.CIFAR10}


def loader(config, train: bool, device: torch.device) -> DataLoader:
    statistics = data.STATISTICS[config["dataset"]]
    steps = [transforms.ToTensor(), transforms.Normalize(statistics.mean, statistics.std)]
    if train and config["augment"] == "rotate7":
        steps.insert(0, transforms.RandomRotation(7, fill=0))
    images = SETS[config["dataset"]](data.root(), train, transforms.Compose(steps))
    if limit := int(os.environ.get("IMAGES", 0)):
        images = Subset(images, range(min(limit, len(images))))
    workers = int(os.environ.get("LOADERS", 0))
    return DataLoader(
        images,
        batch_size=config["batch_size"] if train else 500,
        shuffle=train,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )


def build(config) -> nn.Module:
    options = {"groups": config["groups"]} if config["norm"] == "group" else {}
    network = timm.create_model(
        config["network"], norm=config["norm"], dropout=config["dropout"], **options
    )
    for name, module in list(network.named_modules()):
        if isinstance(module, dropout.Dropout):  # ours is faster
            network.set_submodule(name, nn.Dropout(module.p))
        elif isinstance(module, dropout.Dropout2d):
            network.set_submodule(name, nn.Dropout2d(module.p))
    return network


def train(network, batches, optimizer, l1: float, device: torch.device) -> float:
    network.train()
    total = 0.0
    for images, labels in batches:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        loss = F.cross_entropy(network(images), labels)
        total += loss.item() * len(labels)
        if l1:
            loss = loss + l1 * sum(p.abs().sum() for p in network.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return total / len(batches.dataset)


@torch.inference_mode()
def accuracy(network, batches, device: torch.device) -> float:
    network.eval()
    right = 0
    for images, labels in batches:
        right += (network(images.to(device)).argmax(1).cpu() == labels).sum().item()
    return 100 * right / len(batches.dataset)


def main() -> None:
    with wandb.init() as run:
        config = dict(run.config)
        torch.manual_seed(config["seed"])
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = build(config).to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), config["lr"], momentum=0.9)
        trained, tested = (loader(config, train, device) for train in (True, False))
        for epoch in range(1, config["epochs"] + 1):
            loss = train(network, trained, optimizer, config["l1"], device)
            scored = accuracy(network, tested, device)
            run.log({"epoch": epoch, "train/loss": loss, "test/accuracy": scored})


if __name__ == "__main__":
    main()
