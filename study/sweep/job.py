"""A job of a sweep: one run, trained by the loop, or several as a pack; in a worker's process."""

import os
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from study import files, forks, runs
from study.config import Config
from study.errors import RunError, describe
from study.tracking import marks, recording
from study.tracking.marks import Mode
from study.train import failures, pack_runs
from study.train.callback import Callback


@dataclass(frozen=True)
class Task:
    """One run of a job: its configuration, its label in the sweep, its folder."""

    config: Config
    label: str
    folder: Path


@dataclass(frozen=True)
class Job:
    """What a worker does: train one run, or several of one bucket as a pack, and log them to W&B.

    trains: false where the runs are trained, and only their W&B runs are missing; after_pack:
    whether a pack of this command has trained them; stoppable: whether the runs ask after each
    epoch if they are to stop there; share: how many workers train on the device.
    """

    tasks: tuple[Task, ...]
    sweep: str
    project: str
    device: str
    threads: int
    mode: Mode
    trains: bool = True
    after_pack: bool = False
    stoppable: bool = False
    share: int = 1
    entity: str = ""

    @property
    def logs(self) -> bool:
        """Whether it logs its runs; those of a pack are logged by others, while the next trains."""
        return len(self.tasks) == 1 or not self.trains


def unlogged(cause: str) -> str:
    """Return the warning for a trained run that has no W&B run, with the remedy."""
    return f"no W&B run was written ({cause}): the same command writes it"


class Message(NamedTuple):
    """What a worker reports of a run of its job.

    kind: begin, batch, epoch, ask, warning or end; run: its index; content: the history, figures of
    a batch, an epoch's row, None (whether it is to stop is asked), a text, or the cause of a
    failure (None where the run is whole).
    """

    kind: str
    run: int
    content: Any


class PipeCallback(Callback):
    """Sends the progress of a run through a pipe, and receives whether it is to stop.

    shown: the batch reported last, of all runs of the job: those that train together are as far,
    and one tells for all.
    """

    def __init__(
        self, pipe: Connection, index: int, stoppable: bool, shown: set[tuple[int, int]]
    ) -> None:
        self.pipe, self.index, self.stoppable, self.shown = pipe, index, stoppable, shown

    def warn(self, message: str) -> None:
        self.pipe.send(Message("warning", self.index, message))

    def begin(self, history: list[dict[str, float]]) -> None:
        self.pipe.send(Message("begin", self.index, history))

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        if (epoch, done) not in self.shown:
            self.shown.clear()
            self.shown.add((epoch, done))
            self.pipe.send(Message("batch", self.index, (epoch, done / steps, loss, accuracy)))

    def epoch(self, row: dict[str, float]) -> None:
        self.pipe.send(Message("epoch", self.index, row))

    def stops(self) -> bool:
        if not self.stoppable:
            return False
        self.pipe.send(Message("ask", self.index, None))
        return self.pipe.recv()


def run_job(job: Job, pipe: Connection) -> None:
    """Do a job, in the worker's process; the last message of each run is its end."""
    forks.follow_parent()
    os.environ.pop("WANDB_SERVICE", None)  # wandb's in the process that started the server of forks
    causes = _train(job, pipe) if job.trains else [None] * len(job.tasks)
    # W&B removes its copies of the tables as Python exits, which a forked process never does.
    with files.temporary_folder() as temporary:
        tempfile.tempdir = str(temporary)
        for index, (task, cause) in enumerate(zip(job.tasks, causes)):
            if cause is None and job.logs:
                _record(task, job, index, pipe)
            pipe.send(Message("end", index, cause))


def _train(job: Job, pipe: Connection) -> list[str | None]:
    """Train the runs of a job, and return why each failed, None where it did not."""
    try:
        return _train_tasks(job, pipe)
    except Exception as error:
        cause = str(failures.as_run_error(error))
        return [None if runs.is_done(task.folder) else cause for task in job.tasks]


def _train_tasks(job: Job, pipe: Connection) -> list[str | None]:
    shown: set[tuple[int, int]] = set()
    callbacks = [PipeCallback(pipe, k, job.stoppable, shown) for k in range(len(job.tasks))]
    configs, folders = [t.config for t in job.tasks], [t.folder for t in job.tasks]
    options: dict[str, Any] = {"device": job.device, "threads": job.threads}
    if len(job.tasks) == 1:
        pack_runs.train_one(configs[0], folders[0], callback=callbacks[0], **options)
        return [None]
    ends = pack_runs.train(
        configs, folders, callbacks=callbacks, share=job.share, pictures=False, **options
    )
    return [str(end) if isinstance(end, RunError) else None for end in ends]


def _record(task: Task, job: Job, index: int, pipe: Connection) -> None:
    """Write the W&B run of a trained run, where it is missing."""
    try:
        if not marks.is_recorded(task.folder, job.mode):
            run = runs.read(task.folder)
            recording.record(run, job.sweep, job.project, job.mode, job.entity or None)
    except Exception as error:  # the run is whole without it
        known = isinstance(error, RunError)
        why = str(error) if known else unlogged(describe(error))
        pipe.send(Message("warning", index, why))
