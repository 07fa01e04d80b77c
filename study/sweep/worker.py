"""The command's side of a process that does a job of a sweep, and reports through a pipe.

Workers are forked from a server that has imported torch once and touched no GPU.
"""

import contextlib
import signal
from collections.abc import Sequence

from tqdm import tqdm

from study import forks, runs
from study.metrics import Metric, default_metric
from study.sweep.job import Job, Message, Task, run_job, unlogged
from study.sweep.trials import Trial
from study.tracking import marks

# The server imports these before the first fork, or each worker would import them anew: also what
# the data sets, the first figure, and wandb's first run, import lazily.
PRELOAD = ["study.sweep.job", "sklearn.datasets", "sklearn.model_selection",
           "matplotlib.figure", "matplotlib.backends.backend_agg",
           "wandb", "wandb.sdk.launch", "study.sweep.preload"]  # fmt: skip


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
        self.process = context.Process(target=run_job, args=(job, child_pipe), daemon=True)
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
            warns = self.job.logs and not marks.is_recorded(task.folder, self.job.mode)
            warning = Message("warning", index, unlogged(cause))
            return [*([warning] if warns else []), Message("end", index, None)]
        runs.write_failure(task.folder, task.config, cause)
        return [Message("end", index, cause)]
