"""Run a sweep on this machine: no account, no network, only what is missing.

Workers (worker.py) do jobs (jobs.py). This module starts them, and passes what they report to the
search, the outcome and the terminal.
"""

import contextlib
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

import joblib
import torch
from tqdm import tqdm

from study import forks, locks, planned, runs
from study.config import Config
from study.errors import UsageError
from study.sweep import leases, trials
from study.sweep.jobs import JobQueue
from study.sweep.methods import search_of
from study.sweep.progress import Progress
from study.sweep.spec import Sweep
from study.sweep.worker import PRELOAD, Message, Worker
from study.tracking import client, marks
from study.tracking.marks import Mode
from study.train import augment, checkpoint, data, devices, networks

PATIENCE = 5  # seconds that a pool waits for messages before it looks after the rest


@dataclass
class Outcome:
    """What a sweep's command did.

    existing: runs that were trained before; logged: runs of these that were logged to W&B only;
    trained: runs trained now, of which `stopped` stopped early; failed: run -> cause; remaining:
    runs left for later; by_other_workers: runs that other commands trained meanwhile; end_reason:
    why a search ended before its last run.
    """

    existing: int = 0
    logged: int = 0
    trained: int = 0
    stopped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    remaining: int = 0
    by_other_workers: int = 0
    end_reason: str = ""
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
    mode: Mode = "offline",
    search_seed: int = 0,
    storage: str | None = None,
) -> Outcome:
    """Train what is missing of the sweep into `out`, in `workers` processes side by side.

    On a GPU each trains a pack of runs at once, of a bayes search at most STARTUP. `pack` sets
    their number, also on a CPU, where it is 1 by default. Runs that failed or were killed go on
    from their last whole epoch. A run that fails does not stop the others. Each leaves a W&B run:
    beside it, or on the server (mode online). `storage`: the URL of a database that machines
    without a common file system share.

    Raises:
        UsageError: a network cannot be built, a data set, the bank, the folder or the database
            cannot be used, the search would never end, or mode is online without an API key;
            nothing was trained.
        RunError: mode is online and no server answers, or no database; nothing was trained.
    """
    if mode == "online":
        client.check_online()
    sweep.check_end(limit)
    with contextlib.ExitStack() as stack:
        if storage is None:
            try:
                stack.enter_context(locks.share(out, checkpoint.clear))
            except UsageError:
                if outcome := _find_finished(sweep, out, limit, mode, search_seed):
                    return outcome
                raise
        search = search_of(sweep, out, seed=search_seed, storage=storage)
        pending = search.pending(limit)
        unlogged = _unlogged(search.configs_done_here(), out, mode)
        outcome = Outcome(existing=search.existing)
        if pending or unlogged:
            if storage is not None:
                stack.enter_context(locks.share(out, checkpoint.clear))
            networks.build_each(pending)
            planned.write(out, sweep.plan())
            forks.context(PRELOAD)  # its server imports while the data are prepared
            _prepare_data(pending)
            names = _device_names(device)
            cores = joblib.cpu_count() // threads or 1
            slots = workers or (cores if names == ["cpu"] else _gpu_slots(sweep, names))
            slots = min(slots, len(pending) + len(unlogged))
            queue = JobQueue(search, out, len(pending), unlogged, devices=names, threads=threads,
                             mode=mode, pack=pack, share=math.ceil(slots / len(names)))  # fmt: skip
            _Pool(queue, slots, cores, outcome).run()
        elif out.is_dir():
            planned.write(out, sweep.plan())
        outcome.by_other_workers = search.count_by_other_workers()
        outcome.remaining, outcome.end_reason = search.count_remaining(), search.end_reason()
        return outcome


def _find_finished(
    sweep: Sweep, out: Path, limit: int | None, mode: Mode, seed: int
) -> Outcome | None:
    """Return the outcome of a command that has nothing to do, in a folder that cannot be written;
    None where something is left."""
    with tempfile.TemporaryDirectory() as home:
        journal = Path(home) / trials.JOURNAL
        if (out / trials.JOURNAL).is_file():
            shutil.copyfile(out / trials.JOURNAL, journal)
        search = search_of(sweep, out, seed=seed, storage=journal)
        left = search.pending(limit) and not search.is_target_reached()
        if left or _unlogged(search.configs_done_here(), out, mode):
            return None
        return Outcome(
            existing=search.existing,
            remaining=search.count_remaining(),
            end_reason=search.end_reason(),
        )


def _device_names(device: str | None) -> list[str]:
    """Return the devices that the workers train on, in turn."""
    chosen = devices.pick(device)
    if str(chosen) == "cuda":  # none in particular: all
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(chosen)]


def _gpu_slots(sweep: Sweep, names: list[str]) -> int:
    """Return how many workers train on these devices: two on each CUDA device, so that one computes
    while the other starts or writes its runs' ends; one where a search is to learn from them."""
    on_cuda = names[0].startswith("cuda") and sweep.method != "bayes"
    return 2 * len(names) if on_cuda else len(names)


def _unlogged(configs: Iterable[Config], out: Path, mode: Mode) -> list[Config]:
    """Return those of the trained configurations that have no W&B run."""
    return [c for c in configs if not marks.is_recorded(out / runs.name(c), mode)]


def _prepare_data(configs: Iterable[Config]) -> None:
    """Check the data sets and make the banks once, ahead of the runs."""
    longest: dict[tuple[str, str], Config] = {}
    for config in configs:
        kind = config.dataset, config.augment
        if kind not in longest or config.epochs > longest[kind].epochs:
            longest[kind] = config
    for config in longest.values():
        data.load(config)
        augment.prepare(config)


class _Pool:
    """The workers of a command: `slots` that train, and at most `loggers` that log trained runs."""

    def __init__(self, queue: JobQueue, slots: int, loggers: int, outcome: Outcome) -> None:
        quiet = not sys.stderr.isatty()
        self.queue, self.search, self.outcome = queue, queue.search, outcome
        self.loggers = loggers
        self.training: list[Worker] = []
        self.logging: list[Worker] = []
        self.free_slots = list(range(slots))
        self.lines = [
            tqdm(bar_format="{desc}", position=i, leave=False, disable=quiet) for i in range(slots)
        ]
        self.no_line = tqdm(disable=True)
        self.progress = Progress(
            queue.count_epochs(), queue.total, slots, quiet, self.search.sweep.metric
        )

    @property
    def workers(self) -> list[Worker]:
        return [*self.training, *self.logging]

    def run(self) -> None:
        """Keep the slots busy until nothing is left to do."""
        renewed, may_ask = time.monotonic(), True
        try:
            while True:
                if may_ask:
                    self._start_training()
                self._start_logging()
                if not self.workers:
                    return
                # The search has nothing new until a run ends here, or a lease ends elsewhere.
                may_ask = self._receive(timeout=PATIENCE)
                self.progress.report(self.training)
                if time.monotonic() > renewed + leases.RENEW:
                    self.search.renew()
                    renewed, may_ask = time.monotonic(), True
        finally:
            self._close()

    def _start_training(self) -> None:
        while self.free_slots and (work := self.queue.next_training(self.free_slots[0])):
            slot = self.free_slots.pop(0)
            metric = self.search.sweep.metric
            self.training.append(Worker(*work, slot, self.lines[slot], metric))

    def _start_logging(self) -> None:
        while (free := self.loggers - len(self.logging)) and (
            work := self.queue.next_logging(free)
        ):
            self.logging.append(Worker(*work, len(self.lines), self.no_line))

    def _receive(self, timeout: float) -> bool:
        """Wait for messages and handle them; whether a worker has ended."""
        ready = wait([worker.pipe for worker in self.workers], timeout=timeout)
        ended = False
        for worker in [worker for worker in self.workers if worker.pipe in ready]:
            for message in worker.receive():
                self._handle(worker, message)
            if not worker.running:
                self._remove(worker)
                ended = True
        return ended

    def _remove(self, worker: Worker) -> None:
        worker.process.join()
        if worker.job.trains:
            self.training.remove(worker)
            self.free_slots.append(worker.slot)
            if len(worker.job.tasks) > 1:
                self.queue.log_after_pack(worker.trained)
        else:
            self.logging.remove(worker)

    def _handle(self, worker: Worker, message: Message) -> None:
        """Pass a message on to the search, the outcome and the terminal."""
        kind, index, content = message
        task, trial = worker.job.tasks[index], worker.trials[index]
        if kind == "begin" and trial:
            for row in content:
                self.search.report(trial, row)
        elif kind == "epoch":
            worker.reply(self.search.report(trial, content) if trial else False)
            self.progress.end_epoch()
        elif kind == "warning":
            self.outcome.warnings.append(f"{task.folder}: {content}")
        elif kind == "end":
            self._end_run(worker, index, content)

    def _end_run(self, worker: Worker, index: int, cause: str | None) -> None:
        job, task, trial = worker.job, worker.job.tasks[index], worker.trials[index]
        result = cause or _read_end(task.folder)
        if isinstance(result, str):
            self.outcome.failed[f"{task.folder} ({task.label})"] = result
            if trial:
                self.search.fail(trial, result)
        elif trial is None:
            self.outcome.logged += not job.after_pack and marks.is_recorded(task.folder, job.mode)
        else:
            if index in worker.began:
                self.outcome.trained += 1
                self.outcome.stopped += result.state == runs.STOPPED
            else:  # it was there, though the search did not know of it
                self.outcome.existing += 1
            self.search.complete(trial, result)
            worker.trained.append(task)
        if not job.after_pack:
            self.progress.end_run(task, result)

    def _close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.search.close()
        for line in [*self.lines, self.progress.bar]:
            line.close()


def _read_end(folder: Path) -> runs.Run | str:
    """Read a run that has ended; where its folder was damaged or deleted meanwhile, say why not."""
    try:
        return runs.read(folder)
    except UsageError as error:
        return str(error)
