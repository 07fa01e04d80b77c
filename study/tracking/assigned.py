"""A run that the W&B server has assigned to this process, from its settings to its end.

`wandb agent` assigns one at a time (study/sweep/agent.py), `study agent` several (pack_agent.py).
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from study import runs
from study.config import Config
from study.errors import UsageError
from study.runs import Run
from study.tracking import logger
from study.train.callback import Callback

# Exit code 128 + SIGTERM: after mark_preempting, it asks W&B to assign the run to another agent.
PREEMPTED = 143


class Preempted(BaseException):
    """The machine is taken back: leave now, from the last whole epoch."""


class Signals:
    """Catches SIGTERM, which comes when the machine is taken back, and SIGINT (Ctrl-C).

    received: the last signal caught, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        self.received = number

    def check(self) -> None:
        """Leave if a signal has come. Called between batches, where nothing is half done.

        Raises:
            Preempted: this process is to end.
        """
        if self.received:
            raise Preempted


@dataclass(eq=False)
class AssignedRun:
    """An open W&B run, its configuration and the folder it is trained in.

    `stop_requested` is set, from any thread, when the server asks the run to end after its epoch.
    `complete`, `fail` and `requeue` log its end, and return the W&B run's exit code.
    """

    wandb_run: Any
    config: Config
    folder: Path
    stop_requested: threading.Event

    @classmethod
    def from_wandb(cls, wandb_run: Any, sweep: str, stop_requested: threading.Event) -> Self:
        """Read the settings of an open W&B run, and fetch its checkpoint if it is resumed.

        The folder is below STUDY_RUNS. Its name has the run's id too, since the server may assign
        one configuration twice.

        Raises:
            UsageError: the settings cannot be trained; the reason is logged to the run.
        """
        try:
            config = Config.from_sweep(logger.sweep_settings(wandb_run))
        except UsageError as error:
            logger.log_failure(wandb_run, [], str(error))
            raise
        logger.complete_config(wandb_run, config)
        root = Path(os.environ.get("STUDY_RUNS") or "runs")
        folder = root / sweep / f"{runs.name(config)}-{wandb_run.id}"
        if wandb_run.resumed:
            logger.restore(wandb_run, folder)
        return cls(wandb_run, config, folder, stop_requested)

    def complete(self, run: Run) -> int:
        """Log what a trained run leaves."""
        logger.log_end(self.wandb_run, run)
        logger.mark_recorded(self.wandb_run, self.folder)
        return 0

    def fail(self, cause: str) -> int:
        """Log the epochs that were trained, and why there are no more."""
        logger.log_failure(self.wandb_run, runs.read_history(self.folder), cause)
        return 1

    def requeue(self) -> int:
        """Upload what another agent needs to resume the run."""
        logger.log_preemption(self.wandb_run, self.folder)
        return PREEMPTED


class WandbCallback(Callback):
    """Logs each epoch as it ends, except the last, which `complete` logs with the run's tables.

    `check` is called between batches, and raises Preempted where training is to end.
    """

    def __init__(self, run: AssignedRun, check: Callable[[], None]) -> None:
        self.run, self.check = run, check

    def begin(self, history: list[dict[str, float]]) -> None:
        rows = [row for row in history if not self._is_last(row)]
        logger.log_rows(self.run.wandb_run, rows)

    def batch(self, *_: Any) -> None:
        self.check()

    def epoch(self, row: dict[str, float]) -> bool:
        last = self._is_last(row)
        if not last:
            self.check()
        stops = self.run.stop_requested.is_set()  # read once: another thread may set it meanwhile
        if not (last or stops):
            logger.log_rows(self.run.wandb_run, [row])
        return stops

    def _is_last(self, row: dict[str, float]) -> bool:
        return row["epoch"] == self.run.config.epochs
