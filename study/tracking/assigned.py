"""A run that the W&B server has handed out, from its settings to its end.

`wandb agent` hands one to a process (agent.py), `study agent` several at once (packs.py).
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study import runs
from study.config import Config
from study.errors import UsageError
from study.runs import Run
from study.tracking import logger

PREEMPTED = 143  # 128 + SIGTERM: asks W&B, after mark_preempting, to hand the run out again


class Preempted(BaseException):
    """The machine is taken back: leave now, from the last whole epoch."""


class Signals:
    """Whether this process was told to end: by SIGTERM, as its machine is taken back, or Ctrl-C."""

    def __init__(self) -> None:
        self.told: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _: Any) -> None:
        self.told = number

    def follow(self) -> None:
        """Called between batches: look whether anything was asked.

        Raises:
            Preempted: this process is to end.
        """
        if self.told:
            raise Preempted


@dataclass(eq=False)
class AssignedRun:
    """A run that is open at W&B, its configuration, the folder that it is trained in.

    `stopping` is set, from any thread, when the server asks the run to end at its epoch. Its ends,
    `end`, `fail` and `hand_back`, tell with which exit code the W&B run is to be finished.
    """

    log: Any
    config: Config
    folder: Path
    stopping: threading.Event

    def end(self, run: Run) -> int:
        """Log what a trained run leaves."""
        logger.log_end(self.log, run)
        logger.mark(self.log, self.folder)
        return 0

    def fail(self, cause: str) -> int:
        """Log the epochs that it had, and why it had no more."""
        logger.log_failure(self.log, runs.read_history(self.folder), cause)
        return 1

    def hand_back(self) -> int:
        """Leave another agent what it needs to go on."""
        logger.log_preemption(self.log, self.folder)
        return PREEMPTED


def take(log: Any, sweep: str, stopping: threading.Event) -> AssignedRun:
    """Read the settings of an open run, and find its folder, below STUDY_RUNS.

    The folder is named after the run too: the server may hand out one configuration twice.

    Raises:
        UsageError: the settings are none to train; the open run says why.
    """
    try:
        config = Config.from_sweep(logger.settings(log))
    except UsageError as error:
        logger.log_failure(log, [], str(error))
        raise
    logger.describe(log, config)
    root = Path(os.environ.get("STUDY_RUNS") or "runs")
    folder = root / sweep / f"{runs.name(config)}-{log.id}"
    if log.resumed:
        logger.restore(log, folder)
    return AssignedRun(log, config, folder, stopping)


class Logged:
    """Logs each epoch as it ends, but the last, which the run's tables go with.

    It is a Callback without the name: loop imports torch, and W&B waits for a run to be opened.
    `follow` is called between batches, and raises Preempted where training is to end.
    """

    def __init__(self, run: AssignedRun, follow: Callable[[], None]) -> None:
        self.run, self.follow = run, follow

    def begin(self, history: list[dict[str, float]]) -> None:
        logger.log_rows(self.run.log, [row for row in history if not self._last(row)])

    def batch(self, *_: Any) -> None:
        self.follow()

    def epoch(self, row: dict[str, float]) -> bool:
        last = self._last(row)
        if not last:
            self.follow()
        stops = self.run.stopping.is_set()  # looked at once, as it may be set at any moment
        if not (last or stops):
            logger.log_rows(self.run.log, [row])
        return stops

    def _last(self, row: dict[str, float]) -> bool:
        return row["epoch"] == self.run.config.epochs
