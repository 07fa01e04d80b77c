"""The progress of a whole sweep on the terminal: a bar with the time left, and a line a run."""

import math
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from study.metrics import Metric, default_metric
from study.runs import STOPPED, Run
from study.sweep.job import Task
from study.sweep.worker import Worker
from study.values import count

FIRST = 5  # seconds of training before its pace counts: its first batches are slow
EVERY = 30  # seconds between two lines of a worker


class TerminalProgress:
    """Counts the runs and epochs of a command.

    epochs, runs: how many lie ahead; position: the terminal line of the bar, below the workers';
    metric: the sweep's own, by which a run's line says how good it is.
    """

    def __init__(
        self, epochs: int, runs: int, position: int, quiet: bool, metric: Metric | None
    ) -> None:
        self.epochs, self.runs, self.metric = epochs, runs, metric
        self.done_epochs = self.done_runs = 0
        self.quiet = quiet
        self.ahead = 0.0  # of the epochs counted, those that the workers are in by now
        # When training began, and the epochs that were done by then; starting takes seconds.
        self.began: tuple[float, float] | None = None
        self.reported = dict.fromkeys(range(position), -math.inf)
        if quiet:
            ahead = f"{count(runs, 'run')}, {count(epochs, 'epoch')}, {position} at once"
            print(ahead, file=sys.stderr, flush=True)
        self.bar = tqdm(total=epochs, desc=count(runs, "run"), unit="epoch", position=position,
                        smoothing=0.05, disable=quiet)  # fmt: skip

    def end_epoch(self) -> None:
        self.done_epochs += 1
        self.bar.update()

    def report(self, workers: Sequence[Worker]) -> None:
        """Print how far the workers are, each every 30 seconds, where no terminal shows bars."""
        self.ahead = sum(worker.epochs for worker in workers)
        now = time.monotonic()
        if self.began is None and (done := self.done_epochs + self.ahead):
            self.began = now, done
        left = self._time_left()
        for worker in workers if self.quiet and left else ():
            if worker.text and now >= self.reported[worker.slot] + EVERY:
                self.reported[worker.slot] = now
                print(worker.text + left, file=sys.stderr, flush=True)

    def end_run(self, task: Task, result: Run | str) -> None:
        """Print how a run ended, or the cause of its failure, and the time left."""
        self.done_runs += 1
        end = f"failed: {result}" if isinstance(result, str) else self._describe_end(result)
        line = f"{self.done_runs}/{self.runs}  {task.label}, seed {task.config.seed}: {end}"
        if self.done_runs < self.runs:
            line += self._time_left()
        self.bar.write(line, file=sys.stderr)

    def _describe_end(self, run: Run) -> str:
        early = ""
        if run.state == STOPPED:
            early = f", stopped at epoch {len(run.history)}"
            self.epochs -= run.config.epochs - len(run.history)
        return f"{self._describe_score(run.history)}{early}"

    def _describe_score(self, history: list[dict[str, float]]) -> str:
        """The metric at the last epoch, and at its best. Where a sweep names none it is taken from
        the validation images if there are any, so that nobody chooses by the test images."""
        metric = self.metric or default_metric("val/accuracy" in history[-1])
        last, best = history[-1][metric.name], metric.best(history) or 0.0
        return f"{metric.title} {metric.format(last)} ({metric.superlative} {metric.format(best)})"

    def _time_left(self) -> str:
        """The time left, by the epochs since training began; empty while there are too few."""
        began, before = self.began or (math.inf, 0)
        passed, done = time.monotonic() - began, self.done_epochs + self.ahead
        if passed < FIRST or done <= before:
            return ""
        pace = passed / (done - before)
        seconds = max(0, self.epochs - done) * pace
        return f"  ({_duration(seconds)} left)"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
