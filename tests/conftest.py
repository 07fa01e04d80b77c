"""What the tests share: folders of their own, the real data where it is, small runs."""

import contextlib
import csv
import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from study import files, forks, runs, schema
from study.__main__ import main
from study.config import Config
from study.report.figures import drawing, rendering
from study.sweep.worker import PRELOAD
from study.tracking import marks
from study.train import data, loop, results
from study.train.callback import Callback
from tests.machines import machine, server  # noqa: F401 (fixtures)

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it once, when it is first imported
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process would compile our modules anew

ROOT = Path(__file__).parent.parent
SWEEPS = sorted(
    path for path in (ROOT / "sweeps").glob("**/*.yaml") if path.parent.name != "launch"
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, for when a test waits; each takes 25 processor seconds to
    import, to collect and to start its server of forks."""
    return joblib.cpu_count() + 1


LONG = ("test_agent.py", "test_local.py")  # whose tests take longest, most of it waiting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long tests first, so that none is left to one worker at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Banks are shared by the tests of a process, and never the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WANDB_MODE", "offline")
        yield


@pytest.fixture(scope="session", autouse=True)
def preloaded():
    """Whichever test is the first to fork, the server of forks has imported what workers need:
    those of a server of other processes would each import torch and wandb anew."""
    context = forks.context
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forks, "context", lambda preload=(): context(PRELOAD))
        yield


@pytest.fixture
def study(tmp_path):
    """Run a command as a user does; the finished process."""

    def run(*words: str, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "study", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, **options)

    return run


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """The same within this process, which has imported all: for commands that soon end."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("study")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)

    def run(*words: str) -> subprocess.CompletedProcess:
        capsys.readouterr()
        code = main([*map(str, words)])
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run


@pytest.fixture
def quick(monkeypatch):
    """Figures as small blank pictures, for tests of what stands around them."""

    def save(figure, folder, name, header, rows):
        picture = Figure(figsize=(1, 1), dpi=20)
        files.write(folder / f"{name}.png", lambda file: picture.savefig(file, format="png"))
        drawing.write_csv(folder / f"{name}.csv", header, rows)

    monkeypatch.setattr(drawing, "save", save)
    monkeypatch.setattr(rendering, "side_by_side", contextlib.nullcontext)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A finished run of two epochs on digits, for tests that only read it."""
    config = Config(norm="group", groups=5, epochs=2, batch_size=64, seed=1)
    run = loop.train(config, tmp_path_factory.mktemp("tiny") / "run")
    files = set(run.path.rglob("*"))
    yield run
    assert set(run.path.rglob("*")) == files, "a test wrote into the run that all tests share"


@pytest.fixture
def mounted(tmp_path):
    """Mount a small tmpfs with the given options; skip where mounting is refused."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def needs(dataset: str):
    """Skip where the data set's files are not at hand; tests download nothing."""
    return pytest.mark.skipif(
        not data.is_present(dataset),
        reason=f"{dataset} is not in STUDY_DATA ({files.data_folder()})",
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a csv by its header."""
    with open(path) as file:
        return list(csv.DictReader(file))


class CutOff(Callback):
    """Ends the process, as it were, after an epoch."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, row: dict[str, float]) -> None:
        if row["epoch"] == self.after:
            raise KeyboardInterrupt


def few_images(monkeypatch: pytest.MonkeyPatch, train: int, test: int) -> None:
    """Let each data set have its first images alone, so many to train on and to test on."""
    load = data.load

    def few(config: Config) -> data.Dataset:
        whole = load(config)
        return dataclasses.replace(
            whole,
            train=whole.train.take(np.arange(train)),
            test=whole.test.take(np.arange(test)),
            train_indices=whole.train_indices[:train],
        )

    monkeypatch.setattr(data, "load", few)


def without_times(history: list[dict]) -> list[dict]:
    of_the_machine = {"seconds", "cpu_seconds", "memory_mb"}
    return [{key: row[key] for key in row.keys() - of_the_machine} for row in history]


def tiny(config: Config) -> Config:
    """The configuration on digits, for one short epoch."""
    holdout = min(config.holdout, 100)
    return dataclasses.replace(config, dataset="digits", epochs=1, batch_size=256, holdout=holdout)


def write_run(folder: Path, config: Config, state: str = runs.FINISHED) -> runs.Run:
    """Write the folder of a run on ten classes with all that a trained one has, without training;
    its numbers are made up."""
    rng = np.random.default_rng(config.seed)
    history = [
        {"epoch": epoch, "train/loss": 1 / epoch, "train/accuracy": 90.0}
        | {"test/loss": 0.5, "test/accuracy": 80.0 + epoch, "lr": 0.1, "seconds": 1.0}
        | ({"val/loss": 0.5, "val/accuracy": 80.0} if config.holdout else {})
        for epoch in range(1, config.epochs + 1)
    ]
    results.begin(folder, config, history)
    wrong = np.arange(7)
    runs.write_misclassified(
        folder,
        runs.Misclassified(
            index=wrong, target=wrong, predicted=wrong + 1,
            confidence=np.linspace(0.9, 0.3, 7, dtype=np.float32),
            pixels=rng.integers(0, 255, (7, 1, 28, 28)).astype(np.uint8),
        ),
    )  # fmt: skip
    files.write_json(folder / runs.CONFUSION, (36 * np.eye(10, dtype=int)).tolist())
    weights = {"weight": torch.full((4,), 0.1 * config.seed)}
    files.write(folder / runs.WEIGHTS, lambda file: torch.save(weights, file))
    files.write_text(folder / runs.WANDB / marks.MARKS["offline"], "p/id")
    figures = {"epochs": len(history), "parameters": 7684, **schema.scores(history)}
    cause = {"cause": "made up"} if state == runs.FAILED else {}
    runs.write_summary(folder, {"state": state, **figures, **cause})
    return runs.read(folder)
