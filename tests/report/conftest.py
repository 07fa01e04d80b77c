"""Run folders with made-up curves."""

import shutil
from pathlib import Path

import pytest

from study import files, runs
from study.config import Config
from study.runs import Run


@pytest.fixture
def made(tmp_path, tiny_run):
    """A function that makes a run folder with a given curve of test accuracy, and in a run with
    validation images one of validation accuracy so many points lower."""

    def make(
        config: Config, accuracies, state=runs.FINISHED, name=None, lower=0.5, sweep="mine", **more
    ):
        path = tmp_path / "runs" / sweep / (name or runs.name(config))
        shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("wandb", "weights.pt"))
        runs.write_config(path, config)
        history = [
            {"epoch": i + 1, "train/loss": 0.3 / (i + 1), "train/accuracy": a - 1}
            | {"test/loss": (100 - a) / 30, "test/accuracy": a, "lr": 0.1, "seconds": 1.0}
            | ({"val/loss": (100 - a) / 25, "val/accuracy": a - lower} if config.holdout else {})
            for i, a in enumerate(accuracies)
        ]
        runs.write_history(path, history)
        kept = ("parameters", "versions", "device", "threads", "path", "pack")
        summary = {"state": state} | {key: tiny_run.summary[key] for key in kept}
        files.write_json(path / "summary.json", summary | runs.scores(history) | more)
        return path

    return make


def curve(last: float, epochs: int = 10) -> list[float]:
    return [last - 3 / (i + 1) + 0.3 for i in range(epochs - 1)] + [last]


def run(config: Config, last, seed: int, state=runs.FINISHED, **more) -> Run:
    """A run that lies nowhere."""
    config = Config(**{**config.non_defaults(), "seed": seed})
    history = [
        {"epoch": i, "train/accuracy": a - 1, "train/loss": 0.1, "test/accuracy": a}
        | {"test/loss": 0.1, "lr": 0.1 * 0.5**i, "seconds": 30.0}
        for i, a in enumerate(curve(last), 1)
    ]
    summary = {"state": state, **runs.scores(history), **more}
    return Run(Path("nowhere") / runs.name(config), config, history, summary)


def spread(config: Config, *lasts: float) -> list[Run]:
    return [run(config, last, seed) for seed, last in enumerate(lasts, 1)]
