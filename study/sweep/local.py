"""Run a sweep on this machine: no account, no network, only what is missing.

Each run is trained by a process of its own, forked from a server that has imported torch once and
touched no GPU; what it reports comes back through a pipe.
"""

import dataclasses
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
from study.sweep.spec import Sweep
from study.train import augment, data, loop

# Imported by the server of forks before the first fork.
PRELOAD = ["study.sweep.local", "matplotlib.figure", "matplotlib.backends.backend_agg", "wandb"]


@dataclass
class Outcome:
    """What a sweep's command did: runs found trained (some of them only logged to W&B now), trained
    now, failed (name -> cause), left for later."""

    found: int = 0
    logged: int = 0
    trained: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One run: what a worker is given. `trains` is false where only its W&B run is missing."""

    config: Config
    label: str
    folder: Path
    sweep: str
    project: str
    device: str
    threads: int
    mode: str
    trains: bool


class Tell(loop.Watch):
    """Sends what a run reports through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        self.pipe.send(("batch", (epoch, done / steps, loss, accuracy)))

    def epoch(self, row: dict[str, float]) -> bool:
        self.pipe.send(("epoch", row))
        return False


class Worker:
    """A process that trains one job, and its line on the terminal."""

    def __init__(self, job: Job, slot: int, line: tqdm) -> None:
        context = multiprocessing.get_context("forkserver")
        self.job, self.slot, self.line = job, slot, line
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_train, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._show("starting")

    def read(self) -> tuple[str, Any]:
        """The next message: batch, epoch, warning, or the end with its cause or None."""
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
) -> Outcome:
    """Train what is missing of the sweep into `out`, `workers` runs side by side.

    Runs that failed or were killed go on from their last whole epoch. One that fails does not stop
    the others. Each leaves a W&B run: beside it, or on the server (mode online).

    Raises:
        Refused: a data set, the bank or the folder cannot be used, or mode is online without an
            API key; nothing was trained.
        Failed: mode is online and no server answers; nothing was trained.
    """
    if mode == "online":
        online.check_login()
        online.check_server()
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    devices = _devices(device)
    workers = workers or (
        augment.usable_cores() // threads or 1 if devices == ["cpu"] else len(devices)
    )
    configs, missing = sweep.configs(), sweep.missing(out)
    chosen = missing[:limit]
    outcome = Outcome(found=len(configs) - len(missing), left=len(missing) - len(chosen))
    trains = set(missing)
    chosen += _unlogged([config for config in configs if config not in trains], out, mode)
    if not chosen:
        return outcome
    runs.check_writable(out)
    _prepare(config for config in chosen if config in trains)
    named = labels(configs)
    jobs = [
        Job(
            config=config,
            label=named[config.without_seed()],
            folder=out / runs.name(config),
            sweep=sweep.name,
            project=sweep.project,
            device="",
            threads=threads,
            mode=mode,
            trains=config in trains,
        )
        for config in chosen
    ]
    _work_off(jobs, min(workers, len(jobs)), devices, outcome)
    return outcome


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


def _work_off(jobs: list[Job], slots: int, devices: list[str], outcome: Outcome) -> None:
    """Keep `slots` workers busy until no job is left."""
    quiet = not sys.stderr.isatty()
    bar = "{desc}"
    lines = [tqdm(bar_format=bar, position=i, leave=False, disable=quiet) for i in range(slots)]
    epochs = sum(job.config.epochs - _epochs_done(job) for job in jobs)
    total = tqdm(total=epochs, desc=f"{len(jobs)} runs", unit="epoch", position=slots,
                 smoothing=0.05, disable=quiet)  # fmt: skip
    progress = _Progress(len(jobs), epochs, total)
    waiting, busy, free = list(jobs), [], list(range(slots))
    try:
        while waiting or busy:
            while waiting and free:
                job, slot = waiting.pop(0), free.pop(0)
                job = dataclasses.replace(job, device=devices[slot % len(devices)])
                busy.append(Worker(job, slot, lines[slot]))
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                kind, content = worker.read()
                if kind == "epoch":
                    progress.epoch()
                elif kind == "warning":
                    outcome.warnings.append(f"{worker.job.folder}: {content}")
                elif kind == "end":
                    busy.remove(worker)
                    free.append(worker.slot)
                    worker.process.join()
                    _note_end(worker, content, outcome)
                    progress.run(worker, content)
    finally:
        for worker in busy:
            worker.stop()
        for line in [*lines, total]:
            line.close()


def _note_end(worker: Worker, cause: str | None, outcome: Outcome) -> None:
    if cause is None and worker.job.trains:
        outcome.trained += 1
    elif cause is None:
        outcome.logged += 1
    else:
        outcome.failed[f"{worker.job.folder} ({worker.job.label})"] = cause


class _Progress:
    """The total, with the time left; a line a run where no terminal shows the bars."""

    def __init__(self, count: int, epochs: int, bar: tqdm) -> None:
        self.count, self.epochs, self.bar = count, epochs, bar
        self.done_runs = self.done_epochs = 0
        self.began = time.monotonic()

    def epoch(self) -> None:
        self.done_epochs += 1
        self.bar.update()

    def run(self, worker: Worker, cause: str | None) -> None:
        self.done_runs += 1
        job = worker.job
        ended = f"failed: {cause}" if cause else _last(job)
        line = f"{self.done_runs}/{self.count}  {job.label}, seed {job.config.seed}: {ended}"
        if self.done_epochs and self.done_runs < self.count:
            pace = (time.monotonic() - self.began) / self.done_epochs
            left = max(0, self.epochs - self.done_epochs) * pace
            line += f"  ({_duration(left)} left)"
        self.bar.write(line, file=sys.stderr)


def _last(job: Job) -> str:
    summary = runs.read(job.folder).summary
    return (
        f"test accuracy {summary['test_accuracy_last']:.2f}"
        f" (best {summary['test_accuracy_best']:.2f})"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _epochs_done(job: Job) -> int:
    try:
        return len(runs.read(job.folder).history)
    except Refused:
        return 0


def _train(job: Job, pipe: Connection) -> None:
    """In the worker: train the job, then write its W&B run; the last word is the end's cause."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        trained = loop.train(
            job.config, job.folder, device=job.device, threads=job.threads, watch=Tell(pipe)
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
