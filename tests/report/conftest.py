"""Runs and run folders with made-up curves."""

import dataclasses
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from study import files, runs, schema, search_record
from study.config import Config
from study.metrics import Metric
from study.planned import Plan
from study.report import grouping
from study.report.study import Study
from study.runs import Run


@pytest.fixture
def made(tmp_path, tiny_run):
    """A function that makes a run folder with a given curve of test accuracy, and in a run with
    validation images one of validation accuracy so many points lower."""

    def make(
        config: Config, accuracies, state=runs.FINISHED, name=None, lower=0.5, sweep="mine", **more
    ):
        path = tmp_path / "runs" / sweep / (name or runs.name(config))
        shutil.copytree(
            tiny_run.path, path, ignore=shutil.ignore_patterns(runs.WANDB, runs.WEIGHTS)
        )
        runs.write_config(path, config)
        history = [
            {"epoch": i + 1, "train/loss": 0.3 / (i + 1), "train/accuracy": a - 1}
            | {"test/loss": (100 - a) / 30, "test/accuracy": a, "lr": 0.1, "seconds": 1.0}
            | ({"val/loss": (100 - a) / 25, "val/accuracy": a - lower} if config.holdout else {})
            for i, a in enumerate(accuracies)
        ]
        runs.write_history(path, history)
        same = ("parameters", "versions", "device", "threads", "path", "pack")
        summary = {"state": state, "epochs": len(history)}
        summary |= {key: tiny_run.summary[key] for key in same}
        files.write_json(path / runs.SUMMARY, summary | schema.scores(history) | more)
        return path

    return make


def curve(last: float, epochs: int = 10) -> list[float]:
    return [last - 3 / (i + 1) + 0.3 for i in range(epochs - 1)] + [last]


def run(config: Config, last, seed: int, state=runs.FINISHED, **more) -> Run:
    """A run without a folder."""
    config = Config(**{**config.non_defaults(), "seed": seed})
    history = [
        {"epoch": i, "train/accuracy": a - 1, "train/loss": 0.1, "test/accuracy": a}
        | {"test/loss": 0.1, "lr": 0.1 * 0.5**i, "seconds": 30.0}
        for i, a in enumerate(curve(last), 1)
    ]
    summary = {"state": state, **schema.scores(history), **more}
    return Run(Path("nowhere") / runs.name(config), config, history, summary)


def spread(config: Config, *lasts: float) -> list[Run]:
    return [run(config, last, seed) for seed, last in enumerate(lasts, 1)]


def validated(config: Config, values: Sequence[float], lasts: Sequence[float]) -> list[Run]:
    """Runs with validation images: of each seed the accuracy on these and on the test images."""
    config = dataclasses.replace(config, holdout=100)
    return [
        run(config, last, seed, val_accuracy_last=value)
        for seed, (value, last) in enumerate(zip(values, lasts), 1)
    ]


def ranked_by_loss(losses: Mapping[Config, Sequence[float]]) -> Study:
    """A study of validation losses, one a seed, in which all test accuracies are close to 99."""
    all_runs = [
        run(dataclasses.replace(config, holdout=100), 99 + seed / 100, seed, val_loss_last=loss)
        for config, values in losses.items()
        for seed, loss in enumerate(values, 1)
    ]
    plan = Plan("mine", "grid", Metric("val/loss", False, None), "")
    return grouping.gather({"mine": all_runs}, {"mine": plan})


@pytest.fixture
def l1_grid(made, tmp_path):
    """Four lambdas over three seeds, the best of them 1e-4, the last ruined; one run stopped."""
    for seed in (1, 2, 3):
        for l1, last in zip((0.0, 1e-5, 1e-4, 1e-3), (99.0, 99.1, 99.3, 60.0)):
            made(Config(l1=l1, holdout=100, seed=seed), curve(last + 0.02 * seed))
    made(Config(l1=1e-2, holdout=100, seed=1), [20.0, 30.0], runs.STOPPED)
    return tmp_path / "runs/mine"


def searched(made, configurations: int, method: str = "bayes") -> None:
    """Draws of lr and norm whose accuracy the learning rate alone decides."""
    rng, names = np.random.default_rng(0), []
    for i in range(configurations):
        lr = round(0.01 * 1.5**i, 6)
        norm = "layer" if rng.random() < 0.5 else "batch"
        last = 99 - abs(math.log(lr / 0.1))
        names.append(made(Config(norm=norm, lr=lr, holdout=100), curve(last)).name)
    folder = made(Config(holdout=200, lr=5.0), [10.0], runs.FAILED, cause="x").parent
    record = {"method": method, "metric": "val/accuracy", "seed": 7, "runs": names[::-1]}
    files.write_json(folder / search_record.FILE, record)
