"""The test accuracy of packs against that of the loop, over seeds, in float32.

    python -m tests.benchmarks.equality [SEEDS] [EPOCHS]

Rounding makes a pack's run another than the loop's of the same seed; over seeds their means must
agree. Digits, mnist_7684 with batch norm, dropout and L1.
"""

import platform
import statistics
import sys
import tempfile
from pathlib import Path

import torch

from study.config import Config
from study.train import loop, pack_runs


def main(seeds: int = 20, epochs: int = 5) -> None:
    configs = [
        Config(epochs=epochs, batch_size=64, dropout=0.05, l1=1e-5, seed=seed)
        for seed in range(1, seeds + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        alone = [loop.train(c, home / f"loop{c.seed}") for c in configs]
        packed = pack_runs.train(configs, [home / f"pack{c.seed}" for c in configs])
        scores = [[run.summary["test_accuracy_last"] for run in found] for found in (alone, packed)]
    means = [statistics.mean(score) for score in scores]
    errors = [statistics.stdev(score) / seeds**0.5 for score in scores]
    difference, error = means[1] - means[0], (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    print(f"{seeds} seeds, {epochs} epochs; torch {torch.__version__}, {platform.machine()}")
    for name, mean, own in zip(("loop", "pack"), means, errors):
        print(f"{name}: test accuracy {mean:.2f} %, standard error {own:.2f}")
    print(f"pack less loop: {difference:+.2f} points, {difference / error:+.2f} standard errors")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
