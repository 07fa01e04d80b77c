"""A process that trains runs of a sweep, one by the loop or many as a pack, and what it reports.

It is forked from a server that has imported torch once and touched no GPU; what it reports comes
back through a pipe.
"""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from study import runs
from study.config import Config
from study.errors import RunError, UsageError
from study.sweep.trials import Trial
from study.tracking import logger
from study.train import loop, pack_runs
from study.train.callback import Callback

# Imported by the server of forks before the first fork, also what wandb imports for its first run,
# or each worker would import it anew.
PRELOAD = ["study.sweep.worker", "matplotlib.figure", "matplotlib.backends.backend_agg",
           "wandb", "wandb.sdk.launch"]  # fmt: skip
UNLOGGED = "no W&B run was written"


@dataclass(frozen=True)
class Task:
    """One run of a job: its configuration, its label in the sweep, its folder."""

    config: Config
    label: str
    folder: Path


@dataclass(frozen=True)
class Job:
    """What a worker is given: one run, or several of one bucket to train as a pack. `trains` is
    false where only their W&B runs are missing, `told` then true where a pack has just trained
    them; `stoppable`: whether they ask after each epoch if they are to stop there."""

    tasks: tuple[Task, ...]
    sweep: str
    project: str
    device: str
    threads: int
    mode: str
    trains: bool = True
    told: bool = False
    stoppable: bool = False


class PipeCallback(Callback):
    """Sends what a job's run reports through a pipe, and hears whether it is to stop."""

    def __init__(self, pipe: Connection, index: int, stoppable: bool) -> None:
        self.pipe, self.index, self.stoppable = pipe, index, stoppable

    def begin(self, history: list[dict[str, float]]) -> None:
        self.pipe.send(("begin", self.index, history))

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        if self.index == 0:  # the others of a pack are as far
            self.pipe.send(("batch", 0, (epoch, done / steps, loss, accuracy)))

    def epoch(self, row: dict[str, float]) -> bool:
        self.pipe.send(("epoch", self.index, row))
        return self.pipe.recv() if self.stoppable else False


class Worker:
    """A process that does one job, and its line on the terminal. `trials`: in the search, one a
    run, None where there is none."""

    def __init__(self, job: Job, trials: Sequence[Trial | None], slot: int, line: tqdm) -> None:
        context = multiprocessing.get_context("forkserver")
        self.job, self.trials, self.slot, self.line = job, trials, slot, line
        self.going = set(range(len(job.tasks)))
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._show("starting")

    def read(self) -> list[tuple[str, int, Any]]:
        """The next message: begin, batch, epoch or warning, or the end with its cause or None; its
        run; what it says. Of a process that died: the end of each run it had left."""
        try:
            kind, index, content = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died within a message
            self.process.join()
            left, self.going = sorted(self.going), set()
            return [message for index in left for message in self._killed(index)]
        if kind == "batch":
            epoch, share, loss, accuracy = content
            self._show(f"{epoch} ({share:.0%})  loss {loss:.4f}  accuracy {accuracy:.2f}")
        elif kind == "epoch" and index == 0:
            self._show(
                f"{content['epoch']}  test loss {content['test/loss']:.4f}"
                f"  test accuracy {content['test/accuracy']:.2f}"
            )
        elif kind == "end":
            self.going.remove(index)
        return [(kind, index, content)]

    def answer(self, stops: bool) -> None:
        """PipeCallback a run that asks after its epoch whether it stops there."""
        if self.job.stoppable:
            with contextlib.suppress(OSError):  # it died meanwhile: its end is read next
                self.pipe.send(stops)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()

    def _show(self, what: str) -> None:
        first, others = self.job.tasks[0], len(self.job.tasks) - 1
        run = f"[{self.slot + 1}] {first.label}, seed {first.config.seed}"
        run += f" and {others} more" if others else ""
        self.line.set_description_str(f"{run}, {first.config.epochs} epochs: {what}")

    def _killed(self, index: int) -> list[tuple[str, int, Any]]:
        """What is said for a run where the process died without a word: the cause, noted in its
        summary, unless the run itself was whole."""
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        fewer = "--workers" if len(self.job.tasks) == 1 else "--pack"
        cause = f"the process was killed ({how}), out of memory perhaps: a smaller {fewer} may help"
        task = self.job.tasks[index]
        if runs.is_done(task.folder):
            unlogged = len(self.job.tasks) == 1  # a pack's W&B runs are another worker's
            warning = [("warning", index, f"{UNLOGGED} ({cause})")] if unlogged else []
            return [*warning, ("end", index, None)]
        runs.write_failure(task.folder, task.config, cause)
        return [("end", index, cause)]


def _work(job: Job, pipe: Connection) -> None:
    """In the worker: do the job; the last word of each run is its end's cause."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    causes: list[str | None] = [None] * len(job.tasks)
    if job.trains:
        try:
            causes = _train(job, pipe)
        except (UsageError, RunError) as error:
            causes = [str(error)] * len(job.tasks)
        except Exception as error:
            traceback.print_exc()
            cause = f"{type(error).__name__}: {error}"  # of those of a pack that had not ended
            causes = [None if runs.is_done(task.folder) else cause for task in job.tasks]
    alone = len(job.tasks) == 1  # a pack's W&B runs are written side by side, by other workers
    # W&B removes its copies of the tables as Python exits, which a forked process never does.
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        for index, (task, cause) in enumerate(zip(job.tasks, causes)):
            if cause is None and (alone or not job.trains):
                _record(task, job, index, pipe)
            pipe.send(("end", index, cause))


def _train(job: Job, pipe: Connection) -> list[str | None]:
    """Why each run failed, None where it did not."""
    tells = [PipeCallback(pipe, index, job.stoppable) for index in range(len(job.tasks))]
    where = {"device": job.device, "threads": job.threads}
    if len(job.tasks) == 1:
        loop.train(job.tasks[0].config, job.tasks[0].folder, callback=tells[0], **where)
        return [None]
    configs, folders = [t.config for t in job.tasks], [t.folder for t in job.tasks]
    found = pack_runs.train(configs, folders, callbacks=tells, **where)
    return [str(result) if isinstance(result, RunError) else None for result in found]


def _record(task: Task, job: Job, index: int, pipe: Connection) -> None:
    """Write the W&B run of a trained one, where it is missing."""
    try:
        if not logger.recorded(task.folder, job.mode):
            logger.record(runs.read(task.folder), job.sweep, job.project, job.mode)
    except Exception as error:  # the run is whole without it
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        pipe.send(("warning", index, f"{UNLOGGED} ({reason})"))


def _die_with_parent() -> None:
    """A worker does not outlive the command that started it, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
