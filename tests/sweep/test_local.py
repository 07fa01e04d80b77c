import dataclasses
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from tqdm import tqdm

from study import files, forks, planned, runs, sweep_folder
from study.sweep import job as jobs
from study.sweep import job_queue, local, methods, pool, spec, worker
from study.tracking import marks
from study.train import loop
from tests.conftest import without_times
from tests.forked import Forked

SWEEP = """
method: grid
parameters:
  norm: {values: [batch, none]}
  lr: {values: [0.05]}
  epochs: {value: 1}
  batch_size: {value: 512}
  seed: {values: [1, 2]}
"""

SEARCH = """
method: bayes
metric: {name: val/accuracy, goal: maximize}
run_cap: 3
parameters:
  norm: {value: batch}
  l1: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-4}
  lr: {value: 0.05}
  epochs: {value: 4}
  batch_size: {value: 512}
  holdout: {value: 100}
"""


@pytest.fixture
def search(tmp_path):
    (tmp_path / "mine.yaml").write_text(SEARCH)
    return tmp_path / "mine.yaml"


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "mine.yaml").write_text(SWEEP)
    return tmp_path / "mine.yaml"


def test_a_sweep_trains_what_is_missing_only(sweep, tmp_path, command):
    first = command("sweep", sweep, "--limit", 1, "--set", "norm=batch")
    assert first.returncode == 0, first.stderr
    assert "1 run trained, 0 already done, 0 failed, 1 remaining" in first.stdout
    second = command("sweep", sweep)
    assert second.returncode == 0, second.stderr
    assert "3 runs trained, 1 already done" in second.stdout
    assert "3/3" in second.stderr
    assert re.search(r"3/3  .*: test accuracy \d+\.\d\d \(highest \d+\.\d\d\)", second.stderr)
    third = command("sweep", sweep)
    assert "0 runs trained, 4 already done" in third.stdout
    assert len(planned.read(tmp_path / "runs/mine").configs) == 4
    found = sweep_folder.find(tmp_path / "runs/mine")
    assert len(found) == 4
    assert all(run.done and marks.is_recorded(run.path) for run in found)
    alone = loop.train(found[0].config, tmp_path / "alone")  # by a worker the same, to the bit
    assert without_times(found[0].history) == without_times(alone.history)


def test_one_failing_configuration_does_not_stop_the_others(sweep, tmp_path, command):
    sweep.write_text(SWEEP.replace("lr: {values: [0.05]}", "lr: {values: [1.0e+9, 0.05]}"))
    done = command("sweep", sweep, "--set", "norm=none", "seed=1")
    assert done.returncode == 1
    assert "1 run trained, 0 already done, 1 failed" in done.stdout
    assert "lower lr" in done.stderr and "lr 1000000000" in done.stderr
    assert "Traceback" not in done.stderr
    states = {run.config.lr: run.state for run in sweep_folder.find(tmp_path / "runs/mine")}
    assert states == {1e9: runs.FAILED, 0.05: runs.FINISHED}


def test_a_packed_grid_leaves_what_an_unpacked_one_leaves(sweep, tmp_path, command):
    done = command("sweep", sweep, "--pack", 3, "--set", "lr=0.05,1.0e+9", "--workers", 1)
    assert done.returncode == 1 and "0 already done, 4 failed" in done.stdout
    trained = [run for run in sweep_folder.find(tmp_path / "runs/mine") if run.done]
    assert {(run.config.lr, run.config.norm) for run in trained} == {
        (0.05, "batch"),
        (0.05, "none"),
    }
    assert len(trained) == 4
    for run in trained:
        assert (run.summary["path"], run.summary["pack"], len(run.history)) == ("pack", 3, 1)
        assert marks.is_recorded(run.path)
    again = command("sweep", sweep, "--pack", 3)
    assert "0 runs trained, 4 already done" in again.stdout


def test_a_gpu_has_two_workers_but_of_a_search_that_learns(sweep):
    grid = spec.read(sweep)
    sweep.write_text(SEARCH)
    bayes = spec.read(sweep)
    assert local._count_slots(grid, ["cuda:0", "cuda:1"], 3) == 4
    assert local._count_slots(bayes, ["cuda:0", "cuda:1"], 3) == 2
    assert local._count_slots(grid, ["mps"], 3) == 1
    assert local._count_slots(grid, ["cpu"], 3) == 3


def test_a_packed_search_gives_each_configuration_once(search, tmp_path, command):
    search.write_text(SEARCH.replace("run_cap: 3", "run_cap: 4"))
    done = command("sweep", search, "--pack", 3, "--workers", 1, "--set", "epochs=1")
    assert done.returncode == 0, done.stderr
    found = sweep_folder.find(tmp_path / "runs/mine")
    assert len({run.config.l1 for run in found}) == len(found) == 4
    assert sorted(run.summary["pack"] for run in found) == [1, 3, 3, 3]
    assert "test" not in done.stderr  # whoever watches sees the metric: no test image is in it
    ended = re.findall(r"^(\d)/4  .*: validation accuracy", done.stderr, re.MULTILINE)
    assert ended == ["1", "2", "3", "4"]
    assert planned.read(tmp_path / "runs/mine").run_cap == 4


def history_lines(folder) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob("**/history.jsonl"))


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


@pytest.fixture
def at_epoch(monkeypatch):
    """Act in a command of this process, as it hears that so many epochs have ended."""

    def act_at(number: int, act) -> None:
        handle, heard = pool.Pool._handle, []

        def handle_and_act(self, worker, message):
            handle(self, worker, message)
            if message.kind == "epoch":
                heard.append(message)
                if len(heard) == number:
                    act(worker)

        monkeypatch.setattr(pool.Pool, "_handle", handle_and_act)

    return act_at


def test_a_killed_worker_of_a_search_loses_and_doubles_nothing(search, tmp_path, command, at_epoch):
    at_epoch(2, lambda worker: worker.process.kill())
    done = command("sweep", search, "--workers", 2)
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr and "Traceback" not in done.stderr
    folder = tmp_path / "runs/mine"
    states = {run.path.name: run.state for run in sweep_folder.find(folder)}
    assert sorted(states.values()) == [runs.FAILED] + [runs.FINISHED] * 2
    again = command("sweep", search)
    assert again.returncode == 0, again.stderr
    found = sweep_folder.find(folder)
    assert {run.path.name for run in found} == states.keys()
    assert all([row["epoch"] for row in run.history] == [1, 2, 3, 4] for run in found)
    order = files.read_json(folder / "search.json")["runs"]
    assert sorted(order) == sorted(states) and len({run.config.l1 for run in found}) == 3
    [killed] = [run for run in found if states[run.path.name] == runs.FAILED]
    alone = loop.train(killed.config, tmp_path / "alone")
    assert without_times(killed.history) == without_times(alone.history)


def test_a_killed_worker_leaves_whole_runs_whole(tiny_run, tmp_path):
    """Also where it died while it wrote their W&B runs, or in a pack of which they had ended."""
    there, missing = tmp_path / "there", tmp_path / "missing"
    shutil.copytree(tiny_run.path, there)
    whole = jobs.Task(tiny_run.config, "there", there)
    going = jobs.Task(dataclasses.replace(tiny_run.config, seed=2), "missing", missing)
    ends = {}
    for tasks, trains in (([whole], False), ([whole, going], True)):
        job = jobs.Job(tuple(tasks), "mine", "mine", "cpu", 1, "offline", trains=trains)
        dying = worker.Worker(job, [None] * len(tasks), 0, tqdm(disable=True))
        dying.process.kill()
        ends[trains] = []
        while dying.running:
            ends[trains] += dying.receive()
    [warning, end] = ends[False]
    assert warning[0] == "warning" and "no W&B run was written (the process was" in warning[2]
    assert end == ("end", 0, None)
    [end, failed] = ends[True]
    assert end == ("end", 0, None) and "SIGKILL" in failed[2]
    assert "a smaller --workers, or --pack of study sweep, may help" in failed[2]
    assert runs.read(there).summary == tiny_run.summary
    assert runs.read(missing).state == runs.FAILED


def test_a_killed_command_of_a_search_leaves_no_workers_and_goes_on(search, tmp_path, command):
    process = Forked("sweep", search, "--workers", "1", cwd=tmp_path, env=os.environ)
    folder = tmp_path / "runs/mine"
    wait_for(lambda: history_lines(folder) >= 5)  # the second run is in its second epoch
    workers = worker_pids(process.pid)
    assert workers
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    before = [runs.name(run.config) for run in sweep_folder.find(folder)]
    again = command("sweep", search, "--workers", 1)
    assert again.returncode == 0, again.stderr
    found = sweep_folder.find(folder)
    assert len(found) == 3 and set(before) < {run.path.name for run in found}
    assert all([row["epoch"] for row in run.history] == [1, 2, 3, 4] for run in found)
    plan = spec.read(search)  # the draws of one seed, as if nothing had happened
    expected = [runs.name(plan.config(plan.sample(0, number))) for number in range(3)]
    assert files.read_json(folder / "search.json")["runs"] == expected


@pytest.mark.parametrize(("rates", "pack"), [("0.05, 1.0e-6", None), ("1.0e-6, 0.05", 2)])
def test_hyperband_stops_a_run_at_its_epoch(search, tmp_path, rates, pack):
    """In a pack also one that comes before those that it is behind."""
    body = SEARCH.replace(
        "{distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-4}", "{value: 0}"
    )
    body = body.replace("val/accuracy, goal: maximize", "train/loss, goal: minimize")
    body = body.replace("bayes", "grid").replace("lr: {value: 0.05}", f"lr: {{values: [{rates}]}}")
    search.write_text(body + "early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n")
    outcome = local.run(spec.read(search), tmp_path / "out", workers=1, pack=pack)
    assert (outcome.trained, outcome.stopped, outcome.remaining) == (2, 1, 0)
    states = {
        run.config.lr: (run.state, len(run.history)) for run in sweep_folder.find(tmp_path / "out")
    }
    assert states == {0.05: (runs.FINISHED, 4), 1e-6: (runs.STOPPED, 2)}
    assert local.run(spec.read(search), tmp_path / "out").existing == 2


def test_rerun_takes_its_seeds_from_one_option(tiny_run, command):
    done = command("rerun", tiny_run.path, "--seeds", "1,2", "--set", "seed=3")
    assert done.returncode == 2
    assert done.stderr == "study: --set seed: allowed is --seeds, which takes a rerun's seeds\n"


def test_rerun_trains_a_run_again_over_seeds(tiny_run, tmp_path, command):
    done = command("rerun", tiny_run.path, "--seeds", "1,2", "--set", "epochs=1")
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-again")
    expected = dataclasses.replace(tiny_run.config, epochs=1)
    assert [run.config for run in sweep_folder.find(folder)] == [
        dataclasses.replace(expected, seed=seed) for seed in (1, 2)
    ]


def test_an_interrupt_is_one_line(sweep, command, at_epoch):
    def interrupt(_) -> None:
        # Of what runs in the background of a script, SIGINT is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    at_epoch(1, interrupt)
    done = command("sweep", sweep)
    assert done.returncode == 130
    assert "the same command goes on" in done.stderr and "Traceback" not in done.stderr
    assert not any(child.is_alive() for child in multiprocessing.active_children())


def test_trained_runs_are_shared_out_among_the_workers_that_log(sweep, tmp_path):
    sweep.write_text(f"entity: team\n{sweep.read_text()}")
    plan = spec.read(sweep, ["seed=" + ",".join(map(str, range(25))), "norm=batch"])
    search = methods.search_of(plan, tmp_path / "out")
    queue = job_queue.JobQueue(search, tmp_path / "out", 0, plan.configs[:3])
    queue.log_after_pack(queue._tasks(plan.configs[3:]))
    sizes = []
    while work := queue.next_logging(free=2):
        job, trials = work
        assert (
            job.entity == "team"
            and not job.trains
            and job.logs
            and trials == [None] * len(job.tasks)
        )
        sizes.append((len(job.tasks), job.after_pack))
    assert sizes[:2] == [(2, False), (1, False)]
    assert sizes[2:] == [(11, True), (6, True), (3, True), (1, True), (1, True)]
    queue.log_after_pack(queue._tasks(plan.configs))
    job, _ = queue.next_logging(free=1)
    assert len(job.tasks) == job_queue.LOGGED_AT_ONCE


def test_a_picture_that_a_pack_left_out_is_drawn_before_its_run_is_logged(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.path, folder)
    (folder / runs.GRID).unlink()
    task = jobs.Task(tiny_run.config, "mine", folder)
    job = jobs.Job((task,), "mine", "mine", "cpu", 1, "offline", trains=False)
    jobs._record(task, job, 0, pipe=None)
    assert marks.is_recorded(folder)
    assert (folder / runs.GRID).read_bytes() == (tiny_run.path / runs.GRID).read_bytes()


def _run_where_wandb_has_ended(job, temporary, pipe):
    os.environ["WANDB_SERVICE"] = "3-1-unix-/nowhere"  # as a notebook leaves it that used wandb
    tempfile.tempdir = temporary
    jobs.run_job(job, pipe)


def test_a_worker_does_without_the_wandb_of_what_started_it(tiny_run, tmp_path, tmp_path_factory):
    """It leaves no copies of the tables, which wandb removes where Python exits alone."""
    folder, temporary = tmp_path / "run", tmp_path_factory.mktemp("t")  # short, as sockets need
    shutil.copytree(tiny_run.path, folder)
    task = jobs.Task(tiny_run.config, "mine", folder)
    job = jobs.Job((task,), "mine", "mine", "cpu", 1, "offline", trains=False)
    context = forks.context(worker.PRELOAD)
    ours, theirs = context.Pipe()
    arguments = (job, str(temporary), theirs)
    process = context.Process(target=_run_where_wandb_has_ended, args=arguments)
    process.start()
    assert ours.recv() == jobs.Message("end", 0, None)  # no warning before it
    process.join()
    assert marks.is_recorded(folder)
    wait_for(lambda: not any(temporary.rglob("*.json")))  # its service may still remove the last


def test_a_run_without_its_wandb_run_gets_one(sweep, tmp_path):
    plan = spec.read(sweep, ["norm=batch", "seed=1", "epochs=1"])
    [config] = plan.configs
    folder = tmp_path / "out" / runs.name(config)
    run = loop.train(config, folder)
    assert not marks.is_recorded(folder)
    outcome = local.run(plan, tmp_path / "out")
    assert (outcome.trained, outcome.logged, outcome.existing) == (0, 1, 1)
    assert not outcome.warnings
    assert marks.is_recorded(folder)
    assert without_times(runs.read(folder).history) == without_times(run.history)


def test_the_server_of_forks_touches_no_gpu_and_starts_no_thread():
    """CUDA cannot be used in a fork of a process that has as much as counted its GPUs."""
    script = f"""
import importlib, threading, torch
def refuse(*args):
    raise SystemExit("CUDA was asked")
torch._C._cuda_getDeviceCount = torch.cuda._lazy_init = refuse
for name in {worker.PRELOAD}:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
