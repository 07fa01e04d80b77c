"""What the host does for a pack beside its steps: milliseconds (of processor time, since other work
may share the machine) an epoch and model.

    python -m tests.benchmarks.host [--models 64 256] [--epochs 3]

Packs of mnist_7684 on MNIST are trained in their run folders on the CPU, with steps and networks
that do nothing: what is left are the order of the images, the figures of an epoch, checkpoints and
histories. On a GPU the order's gather and the scores (of logits) run on the device.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from study import runs
from study.config import Config
from study.train import pack_runs
from study.train.batches import Batches
from study.train.callback import Callback
from study.train.checkpoint import PackCheckpoint
from study.train.member import Member
from study.train.pack import Pack

# What is timed: its name, and the function.
PARTS: dict[str, tuple[Any, str]] = {
    "order": (Batches, "of_epoch"),
    "scores": (Pack, "_scores"),
    "states": (Pack, "state"),
    "checkpoint": (PackCheckpoint, "write"),
    "history": (runs, "append_history"),
}


class Clock(Callback):
    """Notes when each epoch of the first run has ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def epoch(self, row: dict[str, float]) -> None:
        self.ends.append(time.process_time())


def measure(models: int, epochs: int) -> dict[str, float]:
    """Milliseconds an epoch and model, of each part and of all."""
    settings = {"dataset": "mnist", "epochs": epochs + 1, "dropout": 0.029, "l1": 2.5e-5}
    configs = [Config(**settings, seed=seed) for seed in range(models)]
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as patches:
        for name, (owner, function) in PARTS.items():
            timed = _timed(getattr(owner, function), name, seconds)
            patches.enter_context(mock.patch.object(owner, function, timed))
        patches.enter_context(mock.patch.object(Pack, "_step", lambda *_: None))
        patches.enter_context(mock.patch.object(Pack, "_seed", lambda *_: None))
        patches.enter_context(mock.patch.object(Pack, "_logits", _no_logits))
        patches.enter_context(mock.patch.object(pack_runs, "_finish", _no_finish))
        clocks = [Clock() for _ in configs]
        folders = [Path(home) / runs.name(config) for config in configs]
        pack_runs.train(configs, folders, device="cpu", callbacks=clocks)
    ends = clocks[0].ends
    scale = 1000 / models / epochs
    figures = {name: round(seconds[name] * scale * epochs / (epochs + 1), 3) for name in PARTS}
    return figures | {"all": round((ends[-1] - ends[0]) * scale, 3)}


def _no_logits(pack: Pack, images: torch.Tensor) -> torch.Tensor:
    return torch.zeros(()).expand(len(images), len(pack.configs), 10)


def _no_finish(_pack: Pack, members: list[Member], *_: Any) -> None:
    for member in members:
        member.ended = len(member.history) == member.config.epochs


def _timed(function: Callable, name: str, seconds: dict[str, float]) -> Callable:
    def timed(*args: Any, **options: Any) -> Any:
        began = time.process_time()
        result = function(*args, **options)
        if isinstance(result, Iterator):
            result = iter(list(result))
        seconds[name] += time.process_time() - began
        return result

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    for models in options.models:
        print(json.dumps({"models": models} | measure(models, options.epochs)))


if __name__ == "__main__":
    main()
