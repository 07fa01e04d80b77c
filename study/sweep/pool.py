"""The workers of a command: those that train, and those that log trained runs."""

import sys
import time
from multiprocessing.connection import wait
from pathlib import Path

from tqdm import tqdm

from study import runs
from study.errors import UsageError
from study.sweep import leases
from study.sweep.job import Message
from study.sweep.job_queue import JobQueue
from study.sweep.outcome import Outcome
from study.sweep.progress import TerminalProgress
from study.sweep.worker import Worker
from study.tracking import marks

PATIENCE = 5  # seconds that a pool waits for messages before it looks after the rest


class Pool:
    """The workers of a command: `slots` that train, and at most `loggers` that log trained runs.
    It passes what they report to the search, the outcome and the terminal."""

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
        self.progress = TerminalProgress(
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
            if trial:
                self.search.report(trial, content)
            self.progress.end_epoch()
        elif kind == "ask":
            worker.reply(trial is not None and self.search.stops(trial))
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
