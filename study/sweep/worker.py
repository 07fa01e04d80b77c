"""A process that does a job of a sweep, and reports through a pipe.

A job trains one run by the loop, or several as a pack. Workers are forked from a server that has
imported torch once and touched no GPU.
"""

import contextlib
import os
import signal
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from study import forks, runs
from study.config import Config
from study.errors import RunError, UsageError, describe
from study.metrics import Metric, default_metric
from study.sweep.trials import Trial
from study.tracking import marks, trained
from study.tracking.marks import Mode
from study.train import pack_runs, results
from study.train.callback import Callback

# The server imports these before the first fork, or each worker would import them anew: also what
# the data sets, the first figure, and wandb's first run, import lazily.
PRELOAD = ["study.sweep.worker", "sklearn.datasets", "sklearn.model_selection",
           "matplotlib.figure", "matplotlib.backends.backend_agg",
           "wandb", "wandb.sdk.launch", "study.sweep.preload"]  # fmt: skip
UNLOGGED = "no W&B run was written"


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

    @property
    def logs(self) -> bool:
        """Whether it logs its runs; those of a pack are logged by others, while the next trains."""
        return len(self.tasks) == 1 or not self.trains


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

    shown: the batches reported, of all runs of the job: those that train together are as far, and
    one tells for all.
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
            self.shown.add((epoch, done))
            self.pipe.send(Message("batch", self.index, (epoch, done / steps, loss, accuracy)))

    def epoch(self, row: dict[str, float]) -> None:
        self.pipe.send(Message("epoch", self.index, row))

    def stops(self) -> bool:
        if not self.stoppable:
            return False
        self.pipe.send(Message("ask", self.index, None))
        return self.pipe.recv()


class Worker:
    """The command's side of a worker: its process, its job, its line on the terminal.

    trials: a search's trial for each run, or None; metric: the sweep's own; running: the indices of
    the runs without an end; began: the indices of those that it trains, and did not find done;
    trained: the runs that it has trained; epochs: how far its runs are in the epoch that they
    train, all together; text: its line, empty until it trains; shown: the epoch that it shows the
    end of.
    """

    def __init__(
        self,
        job: Job,
        trials: Sequence[Trial | None],
        slot: int,
        line: tqdm,
        metric: Metric | None = None,
    ) -> None:
        context = forks.context(PRELOAD)
        self.job, self.trials, self.slot, self.line = job, trials, slot, line
        self.metric, self.score = metric, ""
        self.epochs, self.text, self.shown = 0.0, "", 0
        self.running = set(range(len(job.tasks)))
        self.began: set[int] = set()
        self.trained: list[Task] = []
        self.pipe, child_pipe = context.Pipe()
        self.process = context.Process(target=_run_job, args=(job, child_pipe), daemon=True)
        self.process.start()
        child_pipe.close()
        self.line.set_description_str(f"{self._name()}: starting")

    def receive(self) -> list[Message]:
        """Receive the next message; of a process that died, the end of each run it left."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died within a message
            self.process.join()
            left, self.running = sorted(self.running), set()
            return [message for index in left for message in self._end_killed(index)]
        self._show_message(message)
        if message.kind == "begin":
            self.began.add(message.run)
        if message.kind == "end":
            self.running.remove(message.run)
        return [message]

    def reply(self, stops: bool) -> None:
        """Send a run that has asked whether it stops."""
        with contextlib.suppress(OSError):  # it died meanwhile: its end is received next
            self.pipe.send(stops)

    def kill(self) -> None:
        self.process.terminate()
        self.process.join()

    def _show_message(self, message: Message) -> None:
        if message.kind == "batch":
            epoch, share, loss, accuracy = message.content
            self.epochs = share * len(self.running)
            self._show(epoch, f" ({share:.0%})  loss {loss:.4f}  accuracy {accuracy:.2f}")
        elif message.kind == "epoch" and message.content["epoch"] != self.shown:
            self.epochs, row = 0.0, message.content
            self.shown = row["epoch"]
            # Whoever watches may choose by what is shown.
            metric = self.metric or default_metric("val/accuracy" in row)
            self.score = f"  {metric.title} {metric.format(row[metric.name])}"
            self._show(row["epoch"], "")

    def _show(self, epoch: int, progress: str) -> None:
        epochs = self.job.tasks[0].config.epochs
        self.text = f"{self._name()}: epoch {epoch}/{epochs}{progress}{self.score}"
        self.line.set_description_str(self.text)

    def _name(self) -> str:
        first, others = self.job.tasks[0], len(self.job.tasks) - 1
        run = f"[{self.slot + 1}] {first.label}, seed {first.config.seed}"
        return run + (f" and {others} more" if others else "")

    def _end_killed(self, index: int) -> list[Message]:
        """End a run whose process was killed: write the cause, unless the run itself is whole."""
        code = self.process.exitcode or 0
        signal_or_code = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        packed = len(self.job.tasks) > 1
        options = "--workers, or --pack of study sweep," if packed else "--workers"
        cause = (
            f"the process was killed ({signal_or_code}), out of memory perhaps: a smaller {options}"
            " may help"
        )
        task = self.job.tasks[index]
        if runs.is_done(task.folder):
            unlogged = self.job.logs and not marks.is_recorded(task.folder, self.job.mode)
            warning = Message("warning", index, f"{UNLOGGED} ({cause})")
            return [*([warning] if unlogged else []), Message("end", index, None)]
        runs.write_failure(task.folder, task.config, cause)
        return [Message("end", index, cause)]


def _run_job(job: Job, pipe: Connection) -> None:
    """Do a job, in the worker's process; the last message of each run is its end."""
    forks.follow_parent()
    os.environ.pop("WANDB_SERVICE", None)  # wandb's in the process that started the server of forks
    causes = _train(job, pipe) if job.trains else [None] * len(job.tasks)
    # W&B removes its copies of the tables as Python exits, which a forked process never does.
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        for index, (task, cause) in enumerate(zip(job.tasks, causes)):
            if cause is None and job.logs:
                _record(task, job, index, pipe)
            pipe.send(Message("end", index, cause))


def _train(job: Job, pipe: Connection) -> list[str | None]:
    """Train the runs of a job, and return why each failed, None where it did not."""
    try:
        return _train_tasks(job, pipe)
    except (UsageError, RunError) as error:
        return [str(error)] * len(job.tasks)
    except Exception as error:
        traceback.print_exc()
        return [None if runs.is_done(task.folder) else describe(error) for task in job.tasks]


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
            if not run.has(runs.GRID):  # left out by a pack
                results.draw_misclassified(run)
            trained.record(run, job.sweep, job.project, job.mode)
    except Exception as error:  # the run is whole without it
        known = isinstance(error, RunError)
        why = str(error) if known else f"{UNLOGGED} ({describe(error)})"
        pipe.send(Message("warning", index, why))
