"""Run a sweep on this machine: no account, no network, only what is missing.

Workers (worker.py) train, each a run at a time, or on a GPU a pack of runs; here it is decided what
they do, and what they report is noted.
"""

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

import torch
from tqdm import tqdm

from study import files, runs
from study.config import Config, labels
from study.sweep import trials, worker
from study.sweep.search import STARTUP, Search
from study.sweep.spec import Sweep
from study.sweep.trials import Trial
from study.sweep.worker import Job, Task, Worker
from study.tracking import client, logger
from study.train import augment, data, devices, pack_runs


@dataclass
class Outcome:
    """What a sweep's command did: runs found trained (some of them only logged to W&B now), trained
    now (some of them stopped early), failed (name -> cause), left for later, by other workers; why
    a search ended before its last run."""

    found: int = 0
    logged: int = 0
    trained: int = 0
    stopped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0
    elsewhere: int = 0
    ended: str = ""
    warnings: list[str] = field(default_factory=list)


def run(
    sweep: Sweep,
    out: Path,
    *,
    workers: int | None = None,
    pack: int | None = None,
    limit: int | None = None,
    device: str | None = None,
    threads: int = 1,
    mode: str = "offline",
    search_seed: int = 0,
    storage: str | None = None,
) -> Outcome:
    """Train what is missing of the sweep into `out`, in `workers` processes side by side.

    On a GPU each trains a pack of runs at once, as many as its memory is estimated to hold (of a
    bayes search at most STARTUP) unless `pack` says how many; on a CPU one, unless it says so. Runs
    that failed or were killed go on from their last whole epoch. One that fails does not stop the
    others. Each leaves a W&B run: beside it, or on the server (mode online). `storage`: the URL of
    a database that machines without a common file system share.

    Raises:
        UsageError: a data set, the bank, the folder or the database cannot be used, the search
            would never end, or mode is online without an API key; nothing was trained.
        RunError: mode is online and no server answers, or no database; nothing was trained.
    """
    if mode == "online":
        client.check_login()
        client.check_reachable()
    sweep.check_end(limit)
    if storage is None:
        files.check_writable(out)
    search = Search(sweep, out, seed=search_seed, storage=storage)
    ahead = search.ahead(limit)
    only_logged = _unlogged(search.trained(), out, mode)
    outcome = Outcome(found=search.found)
    if ahead or only_logged:
        files.check_writable(out)
        _prepare(ahead)
        multiprocessing.get_context("forkserver").set_forkserver_preload(worker.PRELOAD)
        places = _devices(device)
        cores = augment.usable_cores() // threads or 1
        slots = workers or (cores if places == ["cpu"] else len(places))
        jobs = _Jobs(search, out, only_logged, len(ahead), places, threads, mode, pack)
        _work_off(jobs, min(slots, len(ahead) + len(only_logged)), cores, outcome)
    outcome.elsewhere = search.elsewhere()
    outcome.left, outcome.ended = search.left(), search.ended()
    return outcome


class _Jobs:
    """What is to be done, a job at a time: runs that the search asks for, and runs to log only."""

    def __init__(
        self, search: Search, out: Path, logged: Iterable[Config], count: int,
        devices: list[str], threads: int, mode: str, pack: int | None,
    ) -> None:  # fmt: skip
        self.search, self.out, self.devices, self.pack = search, out, devices, pack
        self.count, self.waiting = count, list[Trial]()
        self.common = {"sweep": search.sweep.name, "project": search.sweep.project}
        self.common |= {"threads": threads, "mode": mode}
        self.logging = [
            self._job([task], "cpu", trains=False) for task in self._tasks(list(logged))
        ]
        self.total = count + len(self.logging)

    def train(self, slot: int) -> tuple[Job, list[Trial]] | None:
        """What a worker's slot trains next: a run, or a pack of one bucket; None: nothing now."""
        first = self.waiting.pop(0) if self.waiting else self._ask()
        if first is None:
            return None
        device = self.devices[slot % len(self.devices)]
        together = [first, *self._like(first, self._room(first.config, device) - 1)]
        stoppable = self.search.sweep.hyperband is not None
        tasks = self._tasks([trial.config for trial in together])
        job = self._job(tasks, device, stoppable=stoppable)
        return job, together

    def log(self) -> tuple[Job, list[Trial | None]] | None:
        """The next run whose W&B run alone is missing."""
        return (self.logging.pop(0), [None]) if self.logging else None

    def trained(self, job: Job, index: int) -> None:
        """A run of a pack is trained: its W&B run is still to be written."""
        if len(job.tasks) > 1:
            self.logging.append(self._job([job.tasks[index]], "cpu", trains=False, told=True))

    def _room(self, config: Config, device: str) -> int:
        """How many runs like this are trained at once: no more than the devices' even share."""
        if pack_runs.bucket(config) is None:
            return 1
        room = self.pack or pack_runs.fits(config, torch.device(device))
        if self.search.sweep.method == "bayes" and not self.pack:
            room = min(room, STARTUP)  # drawn all at once, they would know nothing of each other
        left = self.count + len(self.waiting) + 1
        return min(room, math.ceil(left / len(self.devices)))

    def _like(self, first: Trial, room: int) -> list[Trial]:
        """At most so many more of the same bucket; of a search, what else it has drawn waits."""
        bucket = pack_runs.bucket(first.config)

        def same(config: Config) -> bool:
            return pack_runs.bucket(config) == bucket

        found = [trial for trial in self.waiting if same(trial.config)][:room]
        self.waiting = [trial for trial in self.waiting if trial not in found]
        while len(found) + len(self.waiting) < room and (trial := self._ask(same)):
            (found if same(trial.config) else self.waiting).append(trial)
        return found

    def _ask(self, wanted: Callable[[Config], bool] | None = None) -> Trial | None:
        trial = self.search.ask(wanted) if self.count else None
        self.count -= trial is not None
        return trial

    def _tasks(self, configs: list[Config]) -> list[Task]:
        known = labels([*self.search.sweep.configs, *configs])
        return [Task(c, known[c.without_seed()], self.out / runs.name(c)) for c in configs]

    def _job(self, tasks: list[Task], device: str, **how: bool) -> Job:
        return Job(tuple(tasks), device=device, **self.common, **how)


def _devices(device: str | None) -> list[str]:
    """Where the workers train, in turn."""
    chosen = devices.pick(device)
    if chosen.type == "cuda" and chosen.index is None:
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(chosen)]


def _unlogged(configs: Iterable[Config], out: Path, mode: str) -> list[Config]:
    """Those of the trained configurations whose W&B run is not there."""
    folders = {config: out / runs.name(config) for config in configs}
    return [c for c, path in folders.items() if not logger.recorded(path, mode)]


def _prepare(configs: Iterable[Config]) -> None:
    """Data sets and banks, checked and made once, ahead of the runs."""
    longest: dict[tuple[str, str], Config] = {}
    for config in configs:
        kind = config.dataset, config.augment
        if kind not in longest or config.epochs > longest[kind].epochs:
            longest[kind] = config
    for config in longest.values():
        data.load(config)
        augment.prepare(config)


def _work_off(jobs: _Jobs, slots: int, clerks: int, outcome: Outcome) -> None:
    """Keep `slots` workers busy until nothing is left to train, and at most `clerks` more that
    write the W&B runs of runs already trained."""
    quiet = not sys.stderr.isatty()
    lines = [
        tqdm(bar_format="{desc}", position=i, leave=False, disable=quiet) for i in range(slots)
    ]
    none = tqdm(disable=True)
    progress = _Progress(jobs, slots, quiet)
    search, busy, free = jobs.search, list[Worker](), list(range(slots))
    asks, renewed = True, time.monotonic()
    try:
        while True:
            while free and asks and (job := jobs.train(free[0])):
                busy.append(Worker(*job, free[0], lines[free.pop(0)]))
            while len(busy) - (slots - len(free)) < clerks and (job := jobs.log()):
                busy.append(Worker(*job, slots, none))
            if not busy:
                return
            asks = False  # until a run has ended here, or a lease elsewhere
            ready = wait([one.pipe for one in busy], timeout=trials.RENEW)
            for one in [one for one in busy if one.pipe in ready]:
                if _heard(one, jobs, progress, outcome):
                    busy.remove(one)
                    if one.job.trains:
                        free.append(one.slot)
                    asks = True
            if time.monotonic() > renewed + trials.RENEW:
                search.renew()
                asks, renewed = True, time.monotonic()
    finally:
        for one in busy:
            one.stop()
        search.close()
        for line in [*lines, progress.bar]:
            line.close()


def _heard(one: Worker, jobs: _Jobs, progress: "_Progress", outcome: Outcome) -> bool:
    """Take a worker's message; whether it was its last."""
    search = jobs.search
    for kind, index, content in one.read():
        trial = one.trials[index]
        if kind == "begin" and trial:
            for row in content:
                search.report(trial, row)
        elif kind == "epoch":
            one.answer(search.report(trial, content) if trial else False)
            progress.epoch()
        elif kind == "warning":
            outcome.warnings.append(f"{one.job.tasks[index].folder}: {content}")
        elif kind == "end":
            _note_end(one, index, content, jobs, outcome)
            if not one.job.told:
                progress.run(one.job.tasks[index], content)
    if one.going:
        return False
    one.process.join()
    return True


def _note_end(one: Worker, index: int, cause: str | None, jobs: _Jobs, outcome: Outcome) -> None:
    task, trial, search = one.job.tasks[index], one.trials[index], jobs.search
    if cause is not None:
        outcome.failed[f"{task.folder} ({task.label})"] = cause
        if trial:
            search.fail(trial, cause)
    elif trial is None:
        outcome.logged += not one.job.told and logger.recorded(task.folder, one.job.mode)
    else:
        run = runs.read(task.folder)
        outcome.trained += 1
        outcome.stopped += run.state == runs.STOPPED
        search.tell(trial, run)
        jobs.trained(one.job, index)


class _Progress:
    """The total, with the time left; a line a run where no terminal shows the bars."""

    def __init__(self, jobs: _Jobs, slots: int, quiet: bool) -> None:
        search = jobs.search
        self.epochs = sum(config.epochs for config in search.ahead(jobs.count))
        if search.grid:  # of a search nobody knows yet what it will go on with
            self.epochs -= sum(_epochs_done(jobs.out, c) for c in search.ahead(jobs.count))
        self.count = jobs.total
        self.bar = tqdm(total=self.epochs, desc=f"{self.count} runs", unit="epoch", position=slots,
                        smoothing=0.05, disable=quiet)  # fmt: skip
        self.done_runs = self.done_epochs = 0
        self.began = time.monotonic()

    def epoch(self) -> None:
        self.done_epochs += 1
        self.bar.update()

    def run(self, task: Task, cause: str | None) -> None:
        self.done_runs += 1
        ended = f"failed: {cause}" if cause else self._last(task)
        line = f"{self.done_runs}/{self.count}  {task.label}, seed {task.config.seed}: {ended}"
        if self.done_epochs and self.done_runs < self.count:
            pace = (time.monotonic() - self.began) / self.done_epochs
            left = max(0, self.epochs - self.done_epochs) * pace
            line += f"  ({_duration(left)} left)"
        self.bar.write(line, file=sys.stderr)

    def _last(self, task: Task) -> str:
        run = runs.read(task.folder)
        early = ""
        if run.state == runs.STOPPED:
            early = f", stopped at epoch {len(run.history)}"
            self.epochs -= task.config.epochs - len(run.history)
        return (
            f"test accuracy {run.summary['test_accuracy_last']:.2f}"
            f" (best {run.summary['test_accuracy_best']:.2f}){early}"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _epochs_done(out: Path, config: Config) -> int:
    return len(runs.read_history(out / runs.name(config)))
