"""Run a sweep on this machine: no account, no network, only what is missing.

Each run is trained by a process of its own, forked from a server that has imported torch once and
touched no GPU; what it reports comes back through a pipe.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from study import online, runs
from study.config import Config, Refused, labels
from study.runs import Failed
from study.sweep import record
from study.sweep.record import Trial
from study.sweep.search import Search
from study.sweep.spec import Sweep
from study.train import augment, data, loop

# Imported by the server of forks before the first fork.
PRELOAD = ["study.sweep.local", "matplotlib.figure", "matplotlib.backends.backend_agg", "wandb"]


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


@dataclass(frozen=True)
class Job:
    """One run: what a worker is given. `trains` is false where only its W&B run is missing;
    `stoppable`: whether it asks after each epoch if it is to stop there."""

    config: Config
    label: str
    folder: Path
    sweep: str
    project: str
    device: str
    threads: int
    mode: str
    trains: bool
    stoppable: bool


class Tell(loop.Watch):
    """Sends what a run reports through a pipe, and hears whether it is to stop."""

    def __init__(self, pipe: Connection, stoppable: bool) -> None:
        self.pipe, self.stoppable = pipe, stoppable

    def begin(self, history: list[dict[str, float]]) -> None:
        self.pipe.send(("begin", history))

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        self.pipe.send(("batch", (epoch, done / steps, loss, accuracy)))

    def epoch(self, row: dict[str, float]) -> bool:
        self.pipe.send(("epoch", row))
        return self.pipe.recv() if self.stoppable else False


class Worker:
    """A process that trains one job, and its line on the terminal. `trial`: in the search."""

    def __init__(self, job: Job, trial: Trial | None, slot: int, line: tqdm) -> None:
        context = multiprocessing.get_context("forkserver")
        self.job, self.trial, self.slot, self.line = job, trial, slot, line
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_train, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._show("starting")

    def read(self) -> tuple[str, Any]:
        """The next message: begin, batch, epoch, warning, or the end with its cause or None."""
        try:
            kind, content = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died within a message
            self.process.join()
            return "end", self._killed()
        if kind == "batch":
            epoch, share, loss, accuracy = content
            self._show(f"{epoch} ({share:.0%})  loss {loss:.4f}  accuracy {accuracy:.2f}")
        elif kind == "epoch":
            self._show(
                f"{content['epoch']}  test loss {content['test/loss']:.4f}"
                f"  test accuracy {content['test/accuracy']:.2f}"
            )
        return kind, content

    def answer(self, stops: bool) -> None:
        """Tell a run that asks after its epoch whether it stops there."""
        if self.job.stoppable:
            with contextlib.suppress(OSError):  # it died meanwhile: its end is read next
                self.pipe.send(stops)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()

    def _show(self, what: str) -> None:
        job = self.job
        run = f"[{self.slot + 1}] {job.label}, seed {job.config.seed}, {job.config.epochs} epochs"
        self.line.set_description_str(f"{run}: {what}")

    def _killed(self) -> str:
        """The cause, where the process died without a word; it is noted in the run's summary."""
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        cause = f"the process was killed ({how}), out of memory perhaps: fewer --workers may help"
        runs.write_failure(self.job.folder, self.job.config, cause)
        return cause


def run(
    sweep: Sweep,
    out: Path,
    *,
    workers: int | None = None,
    limit: int | None = None,
    device: str | None = None,
    threads: int = 1,
    mode: str = "offline",
    search_seed: int = 0,
    storage: str | None = None,
) -> Outcome:
    """Train what is missing of the sweep into `out`, `workers` runs side by side.

    Runs that failed or were killed go on from their last whole epoch. One that fails does not stop
    the others. Each leaves a W&B run: beside it, or on the server (mode online). `storage`: the URL
    of a database that machines without a common file system share.

    Raises:
        Refused: a data set, the bank, the folder or the database cannot be used, the search would
            never end, or mode is online without an API key; nothing was trained.
        Failed: mode is online and no server answers, or no database; nothing was trained.
    """
    if mode == "online":
        online.check_login()
        online.check_server()
    sweep.check_end(limit)
    if storage is None:
        runs.check_writable(out)
    search = Search(sweep, out, seed=search_seed, storage=storage)
    ahead = search.ahead(limit)
    only_logged = _unlogged(search.trained(), out, mode)
    outcome = Outcome(found=search.found)
    if ahead or only_logged:
        runs.check_writable(out)
        _prepare(ahead)
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
        devices = _devices(device)
        cores = augment.usable_cores() // threads or 1
        slots = workers or (cores if devices == ["cpu"] else len(devices))
        jobs = _Jobs(search, out, only_logged, len(ahead), devices, threads, mode)
        _work_off(jobs, min(slots, len(ahead) + len(only_logged)), outcome)
    outcome.elsewhere = search.elsewhere()
    outcome.left, outcome.ended = search.left(), search.ended()
    return outcome


class _Jobs:
    """What is to be done, a job at a time: runs to log only, then what the search asks for."""

    def __init__(
        self, search: Search, out: Path, logged: list[Config], count: int,
        devices: list[str], threads: int, mode: str,
    ) -> None:  # fmt: skip
        self.search, self.out, self.logged, self.count = search, out, list(logged), count
        self.devices, self.threads, self.mode = devices, threads, mode
        self.total = count + len(logged)

    def next(self, slot: int) -> tuple[Job, Trial | None] | None:
        """The next job for a worker's slot; None: there is none now."""
        if self.logged:
            return self._job(self.logged.pop(0), slot, trains=False), None
        trial = self.search.ask() if self.count else None
        if trial is None:
            return None
        self.count -= 1
        return self._job(trial.config, slot, trains=True), trial

    def _job(self, config: Config, slot: int, trains: bool) -> Job:
        sweep = self.search.sweep
        return Job(
            config=config,
            label=labels([*sweep.configs, config])[config.without_seed()],
            folder=self.out / runs.name(config),
            sweep=sweep.name,
            project=sweep.project,
            device=self.devices[slot % len(self.devices)],
            threads=self.threads,
            mode=self.mode,
            trains=trains,
            stoppable=trains and sweep.hyperband is not None,
        )


def _devices(device: str | None) -> list[str]:
    """Where the workers train, in turn."""
    chosen = loop.pick_device(device)
    if chosen.type == "cuda" and chosen.index is None:
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(chosen)]


def _unlogged(configs: Iterable[Config], out: Path, mode: str) -> list[Config]:
    """Those of the trained configurations whose W&B run is not there."""
    folders = {config: out / runs.name(config) for config in configs}
    return [c for c, path in folders.items() if not online.recorded(path, mode)]


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


def _work_off(jobs: _Jobs, slots: int, outcome: Outcome) -> None:
    """Keep `slots` workers busy until no job is left."""
    quiet = not sys.stderr.isatty()
    lines = [
        tqdm(bar_format="{desc}", position=i, leave=False, disable=quiet) for i in range(slots)
    ]
    progress = _Progress(jobs, slots, quiet)
    search, busy, free = jobs.search, [], list(range(slots))
    asks, renewed = True, time.monotonic()
    try:
        while True:
            while free and asks and (job := jobs.next(free[0])):
                busy.append(Worker(*job, free[0], lines[free.pop(0)]))
            if not busy:
                return
            asks = False  # until a run has ended here, or a lease elsewhere
            ready = wait([worker.pipe for worker in busy], timeout=record.RENEW)
            for worker in [worker for worker in busy if worker.pipe in ready]:
                if _heard(worker, search, progress, outcome):
                    busy.remove(worker)
                    free.append(worker.slot)
                    asks = True
            if time.monotonic() > renewed + record.RENEW:
                search.renew()
                asks, renewed = True, time.monotonic()
    finally:
        for worker in busy:
            worker.stop()
        search.close()
        for line in [*lines, progress.bar]:
            line.close()


def _heard(worker: Worker, search: Search, progress: "_Progress", outcome: Outcome) -> bool:
    """Take a worker's message; whether it was its last."""
    kind, content = worker.read()
    if kind == "begin" and worker.trial:
        for row in content:
            search.report(worker.trial, row)
    elif kind == "epoch":
        worker.answer(search.report(worker.trial, content) if worker.trial else False)
        progress.epoch()
    elif kind == "warning":
        outcome.warnings.append(f"{worker.job.folder}: {content}")
    elif kind == "end":
        worker.process.join()
        _note_end(worker, content, search, outcome)
        progress.run(worker, content)
    return kind == "end"


def _note_end(worker: Worker, cause: str | None, search: Search, outcome: Outcome) -> None:
    job, trial = worker.job, worker.trial
    if cause is not None:
        outcome.failed[f"{job.folder} ({job.label})"] = cause
        if trial:
            search.fail(trial, cause)
    elif trial is None:
        outcome.logged += 1
    else:
        run = runs.read(job.folder)
        outcome.trained += 1
        outcome.stopped += run.state == runs.STOPPED
        search.tell(trial, run)


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

    def run(self, worker: Worker, cause: str | None) -> None:
        self.done_runs += 1
        job = worker.job
        ended = f"failed: {cause}" if cause else self._last(job)
        line = f"{self.done_runs}/{self.count}  {job.label}, seed {job.config.seed}: {ended}"
        if self.done_epochs and self.done_runs < self.count:
            pace = (time.monotonic() - self.began) / self.done_epochs
            left = max(0, self.epochs - self.done_epochs) * pace
            line += f"  ({_duration(left)} left)"
        self.bar.write(line, file=sys.stderr)

    def _last(self, job: Job) -> str:
        run = runs.read(job.folder)
        early = ""
        if run.state == runs.STOPPED:
            early = f", stopped at epoch {len(run.history)}"
            self.epochs -= job.config.epochs - len(run.history)
        return (
            f"test accuracy {run.summary['test_accuracy_last']:.2f}"
            f" (best {run.summary['test_accuracy_best']:.2f}){early}"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _epochs_done(out: Path, config: Config) -> int:
    return len(runs.read_history(out / runs.name(config)))


def _train(job: Job, pipe: Connection) -> None:
    """In the worker: train the job, then write its W&B run; the last word is the end's cause."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        trained = loop.train(
            job.config,
            job.folder,
            device=job.device,
            threads=job.threads,
            watch=Tell(pipe, job.stoppable),
        )
    except (Refused, Failed) as error:
        pipe.send(("end", str(error)))
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send(("end", f"{type(error).__name__}: {error}"))
        return
    try:
        if not online.recorded(trained.path, job.mode):
            online.record(trained, job.sweep, job.project, job.mode)
    except Exception as error:  # the run is whole without it
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        pipe.send(("warning", f"no W&B run was written ({reason})"))
    pipe.send(("end", None))


def _die_with_parent() -> None:
    """A worker does not outlive the command that started it, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
