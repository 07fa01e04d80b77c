"""What the tests of agents share: the stand-in backend, machines that work on its sweeps, signals
to all their processes."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from study.config import Config
from tests import forked
from tests.forked import Forked, Patches, Programs
from tests.wandb_server import Server

ROOT = Path(__file__).parent.parent
WANDB = Path(sys.executable).parent / "wandb"
SECRET = "planted0secret1" * 3
TINY = {"dataset": "own:tiny", "batch_size": 16}  # epochs of a third of a second


@pytest.fixture
def server():
    with Server() as running:
        yield running


class Machine:
    """A folder and an environment of its own: one machine that works on sweeps."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home, self.data = server, home, home / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        write_tiny(self.data / "tiny.npz")
        self.environment = server.environment(home) | {
            "WANDB_API_KEY": SECRET,
            "PYTHONPATH": str(ROOT),
            "STUDY_RUNS": str(home / "runs"),
            "STUDY_DATA": str(self.data),
            "WANDB_SILENT": "true",
        }
        self.environment.pop("WANDB_MODE", None)

    def start(self, *words, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*map(str, words)],
            cwd=self.home,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words, **variables: str) -> tuple[int, str]:
        process = self.start(*words, **variables)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def fork(self, *words, patches: Patches | None = None, **variables: str) -> Forked:
        """Start a command of `study` as `start` does, but that it has all imported."""
        return Forked(*words, cwd=self.home, env=self.environment | variables, patches=patches)

    def study(self, *words, **variables: str) -> tuple[int, str]:
        process = self.fork(*words, **variables)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def wandb(self, *words) -> tuple[int, str]:
        """Run the command line of wandb, in a fork that has all imported."""
        process = Forked(*words, cwd=self.home, env=self.environment, main=forked.WANDB)
        output = finish(process)
        return process.returncode, output

    def agent(self, sweep, *words) -> Forked:
        """Start `wandb agent`, whose programs are forks of it, and which looks after them twice a
        second, else every five seconds."""
        return Forked(
            "agent", "--forward-signals", *words, sweep.path, main=forked.WANDB,
            cwd=self.home, env=self.environment,
            patches={
                "wandb.wandb_agent.Agent.POLL_INTERVAL": 0.5,
                "wandb.wandb_agent.subprocess": Programs,
            },
        )  # fmt: skip

    def wait_for_an_epoch(self) -> None:
        """Wait until a run here has ended an epoch, which the server learns a second later."""
        end = time.monotonic() + 120
        while not any(path.stat().st_size for path in self.home.glob("runs/*/*/history.jsonl")):
            assert time.monotonic() < end, "it never trained an epoch"
            time.sleep(0.01)


def write_tiny(path: Path) -> None:
    """Write a data set of noise, for runs that need not learn: read without scikit-learn."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 320), ("test", 64)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count) % 10
    np.savez(path, **arrays)


@pytest.fixture
def machine(server, tmp_path):
    return Machine(server, tmp_path / "one")


def sweep_text(**parameters) -> str:
    values = {
        name: {"values": value} if isinstance(value, list) else {"value": value}
        for name, value in ({"batch_size": 256} | parameters).items()
    }
    return yaml.safe_dump(
        {
            "method": "grid",
            "program": "study/sweep/agent.py",
            "command": ["${env}", "${interpreter}", "-m", "study.sweep.agent"],
            "parameters": values,
        },
        sort_keys=False,
    )


def settings(**values) -> dict:
    """The configuration that a run of ours has on the server."""
    return dataclasses.asdict(Config(**values))


def finish(process: subprocess.Popen | Forked) -> str:
    output, _ = process.communicate(timeout=300)
    return output


def epochs(run) -> list[int]:
    return [row["epoch"] for row in run.rows]


def descendants(pid: int) -> set[int]:
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()[1:]]
    found = {pid}
    while more := {child for child, parent in pairs if parent in found} - found:
        found |= more
    return found


def terminate_all(pid: int) -> None:
    """Send SIGTERM to a process and all that it has started."""
    for member in descendants(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGTERM)
