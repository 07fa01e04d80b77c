"""Train the BatchNorm network of s6_8k as the study did: by a loss through argmax.

Its loss was the mean squared error of argmax(prediction) and the target. argmax has no gradient:
the L1 term alone trained the network. No setting does that, hence this script. It prints a line an
epoch as csv:

    python sweeps/published/s6_8k_argmax.py > s6_8k_argmax.csv
"""

import argparse
import dataclasses

import torch
from torch import Tensor

from study.config import Config
from study.train import devices
from study.train.callback import Callback
from study.train.loop import Training

CONFIG = Config(dataset="mnist", network="mnist_8008", dropout=0.007, l1=1e-4, lr=0.01, epochs=20)
COLUMNS = ("epoch", "train/accuracy", "test/loss", "test/accuracy")


class ArgmaxTraining(Training):
    """A run whose loss has no gradient: what is added to it is all that trains."""

    def _gradients(self, objective: Tensor) -> list[Tensor]:
        return [torch.zeros_like(parameter) for parameter in self.parameters]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default=CONFIG.dataset)
    parser.add_argument("--epochs", type=int, default=CONFIG.epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    config = dataclasses.replace(CONFIG, dataset=options.dataset, epochs=options.epochs)
    device = devices.pick("cpu")
    devices.prepare(device, config, threads=1)
    print("seed", *COLUMNS, sep=",")
    for seed in options.seeds:
        training = ArgmaxTraining(dataclasses.replace(config, seed=seed), device)
        for _ in range(config.epochs):
            row = training.epoch(Callback())
            print(seed, *(round(row[name], 4) for name in COLUMNS), sep=",", flush=True)


if __name__ == "__main__":
    main()
