import os
import signal
import subprocess
import sys
import time

import pytest

from study import online, runs
from study.sweep import local, spec
from study.train import loop
from tests.conftest import without_times

SWEEP = """
method: grid
parameters:
  norm: {values: [batch, none]}
  lr: {values: [0.05]}
  epochs: {value: 2}
  batch_size: {value: 512}
  seed: {values: [1, 2]}
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "mine.yaml").write_text(SWEEP)
    return tmp_path / "mine.yaml"


def test_a_sweep_trains_what_is_missing_only(sweep, tmp_path, study):
    first = study("sweep", sweep, "--limit", 1, "--set", "norm=batch")
    assert first.returncode == 0, first.stderr
    assert "1 runs trained now, 0 were there, 0 failed, 1 left for later" in first.stdout
    second = study("sweep", sweep)
    assert second.returncode == 0, second.stderr
    assert "3 runs trained now, 1 were there" in second.stdout
    assert "3/3" in second.stderr
    third = study("sweep", sweep)
    assert "0 runs trained now, 4 were there" in third.stdout
    found = runs.find(tmp_path / "runs/mine")
    assert len(found) == 4
    assert all(run.done and online.recorded(run.path) for run in found)
    for run in found:  # by a worker as alone, to the bit
        alone = loop.train(run.config, tmp_path / "alone" / run.path.name)
        assert without_times(run.history) == without_times(alone.history)


def test_one_failing_configuration_does_not_stop_the_others(sweep, tmp_path, study):
    sweep.write_text(SWEEP.replace("lr: {values: [0.05]}", "lr: {values: [1.0e+9, 0.05]}"))
    done = study("sweep", sweep, "--set", "norm=none", "seed=1")
    assert done.returncode == 1
    assert "1 runs trained now, 0 were there, 1 failed" in done.stdout
    assert "lower lr" in done.stderr and "lr 1000000000" in done.stderr
    assert "Traceback" not in done.stderr
    states = {run.config.lr: run.state for run in runs.find(tmp_path / "runs/mine")}
    assert states == {1e9: runs.FAILED, 0.05: runs.FINISHED}


def history_lines(folder) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob("**/history.jsonl"))


def start(sweep, tmp_path, *words) -> subprocess.Popen:
    command = [sys.executable, "-m", "study", "sweep", str(sweep), *words]
    return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def worker_pids(parent: int) -> list[int]:
    """The processes that train: the children of the server of forks, which is a child of ours."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    parents = {int(pid): int(ppid) for pid, ppid in map(str.split, listing.splitlines())}
    return [pid for pid, ppid in parents.items() if parents.get(ppid) == parent]


def test_a_killed_worker_is_told_and_goes_on(sweep, tmp_path):
    words = ("--set", "epochs=6", "norm=batch", "seed=1")
    process = start(sweep, tmp_path, *words)
    folder = tmp_path / "runs/mine"
    wait_for(lambda: history_lines(folder) >= 2)
    [worker] = worker_pids(process.pid)
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "SIGKILL" in errors and "Traceback" not in errors
    [killed] = runs.find(folder)
    assert killed.state == runs.FAILED and len(killed.history) >= 2
    again = start(sweep, tmp_path, *words)
    again.communicate()
    assert again.returncode == 0
    [run] = runs.find(folder)
    alone = loop.train(run.config, tmp_path / "alone")
    assert without_times(run.history) == without_times(alone.history)


def test_a_killed_command_leaves_no_workers_and_goes_on(sweep, tmp_path):
    process = start(sweep, tmp_path, "--set", "epochs=4")
    folder = tmp_path / "runs/mine"
    wait_for(lambda: history_lines(folder) >= 2)
    workers = worker_pids(process.pid)
    assert workers
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    again = start(sweep, tmp_path, "--set", "epochs=4")
    again.communicate()
    assert again.returncode == 0
    found = runs.find(folder)
    assert len(found) == 4
    assert all([row["epoch"] for row in run.history] == [1, 2, 3, 4] for run in found)


def test_an_interrupt_is_one_line(sweep, tmp_path):
    process = start(sweep, tmp_path, "--set", "epochs=6")
    wait_for(lambda: history_lines(tmp_path / "runs/mine") >= 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in errors and "Traceback" not in errors


def test_a_run_without_its_wandb_run_gets_one(sweep, tmp_path):
    plan = spec.read(sweep, ["norm=batch", "seed=1", "epochs=1"])
    [config] = plan.configs()
    folder = tmp_path / "out" / runs.name(config)
    run = loop.train(config, folder)
    assert not online.recorded(folder)
    outcome = local.run(plan, tmp_path / "out")
    assert (outcome.trained, outcome.logged, outcome.found) == (0, 1, 1)
    assert not outcome.warnings
    assert online.recorded(folder)
    assert without_times(runs.read(folder).history) == without_times(run.history)
