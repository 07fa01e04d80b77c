"""An open W&B run that this process trains, from its settings to its end.

`wandb agent` assigns one at a time (study/sweep/agent.py), `study agent` several (pack_agent.py);
`study sync` opens those again that were cut off (sync.py).
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from study import files, runs
from study.config import Config
from study.errors import DiskError, RunError, UsageError, describe
from study.runs import Run
from study.tracking import logger, marks, service, stored
from study.train import data
from study.train.callback import Callback

# Exit code 128 + SIGTERM: after mark_preempting, it asks W&B to assign the run to another agent.
PREEMPTED = 143

log = logging.getLogger(__name__)


@dataclass(eq=False)
class AssignedRun:
    """An open W&B run, its configuration and the folder it is trained in.

    stop_requested is set, from any thread, when the server asks the run to end after its epoch.
    reopen opens the W&B run again, should wandb's service be lost; restarts: see service.restarts;
    unlogged: why tables or files of its end were not logged, or "".
    """

    wandb_run: Any
    config: Config
    folder: Path
    stop_requested: threading.Event
    reopen: Callable[[], Any]
    restarts: int
    unlogged: str = ""

    @classmethod
    def open(cls, open_run: Callable[[], Any], sweep: str, stop_requested: threading.Event) -> Self:
        """Open a W&B run, read its settings, and fetch its checkpoint if it is resumed.

        The folder is below STUDY_RUNS. Its name has the run's id too, since the server may assign
        one configuration twice.

        Raises:
            UsageError: the settings cannot be trained; the run has ended with the reason.
            UsageError, RunError: this machine lacks the data set, or its disk takes no folder: the
                run is handed back.
            RunError: the server does not accept the run.
        """
        restarts = service.restarts()
        try:
            return cls._open(open_run, sweep, stop_requested, restarts)
        except Exception as error:
            if not service.is_lost(error):
                raise
        service.restart(restarts)
        return cls._open(open_run, sweep, stop_requested, service.restarts())

    @classmethod
    def _open(
        cls,
        open_run: Callable[[], Any],
        sweep: str,
        stop_requested: threading.Event,
        restarts: int,
    ) -> Self:
        wandb_run = open_run()
        try:
            config = Config.from_sweep(logger.sweep_settings(wandb_run))
        except UsageError as error:
            logger.log_failure(wandb_run, [], str(error))
            wandb_run.finish(exit_code=2)
            raise
        logger.complete_config(wandb_run, config)
        folder = files.agents_folder() / sweep / f"{runs.name(config)}-{wandb_run.id}"
        try:
            data.read(config.dataset)
            files.check_writable(folder)
            if wandb_run.resumed:
                logger.restore(wandb_run, folder)
            # From here on `study sync` finds the run, however this process ends.
            runs.write_config(folder, config)
            marks.mark_opened(wandb_run, folder, sweep)
        except Exception as error:
            # The fault is this machine's: another one may train it. A run that failed nobody does.
            if not service.is_lost(error):  # or nobody is there to finish it
                wandb_run.mark_preempting()
                wandb_run.finish(exit_code=PREEMPTED)
            raise
        return cls(wandb_run, config, folder, stop_requested, open_run, restarts)

    def end(self, result: Run | RunError | None) -> int:
        """Log what a run ended as, close it, and return its exit code: trained, failed, or cut off
        (None, or by the disk), so that another agent is to continue it.

        Where W&B cannot be told so, a warning names the command that does; of a trained run,
        `confirm` says it.
        """
        if isinstance(result, DiskError):
            result = None
        code = 0 if isinstance(result, Run) else 1 if result else PREEMPTED
        try:
            self._end_here_or_again(result, code)
        except Exception as error:  # whatever wandb raises: the folder is whole without it
            self.unlogged = describe(error)
        if isinstance(result, RunError):  # which W&B assigns to nobody again
            log.warning(
                f"{self.folder}: failed; once the cause is mended, `study sync --failed"
                f" {self.folder}` goes on with it"
            )
        if self.unlogged and code:
            log.warning(
                f"{self.folder}: W&B could not be told how it ended ({self.unlogged}): `study sync"
                f" {self.folder}` does it, and continues a run that was cut off"
            )
        return code

    def _end_here_or_again(self, result: Run | RunError | None, code: int) -> None:
        try:
            self._end(result, code)
            return
        except Exception as error:
            if not service.is_lost(error):
                raise
        service.restart(self.restarts)
        self.restarts = service.restarts()
        self.wandb_run = self.reopen()
        self._end(result, code)

    def _end(self, result: Run | RunError | None, code: int) -> None:
        try:
            self._log_end(result)
        except Exception as error:
            if service.is_lost(error):
                raise
            self.unlogged = describe(error)
        self.wandb_run.finish(exit_code=code)

    def _log_end(self, result: Run | RunError | None) -> None:
        if result is None:
            logger.log_preemption(self.wandb_run, self.folder)
        elif isinstance(result, RunError):
            logger.log_failure(self.wandb_run, runs.read_history(self.folder), str(result))
        else:
            logger.log_end(self.wandb_run, result)


def confirm(completed: Mapping[AssignedRun, Run]) -> dict[AssignedRun, str]:
    """Ask the server whether it has all of these runs, which have ended at W&B.

    The folders of runs that are whole are marked; of the others a warning says how they become so.
    Return these, with what is missing.
    """
    paths = {run: run.wandb_run.path for run in completed}
    lacking = stored.find_missing({paths[run]: trained for run, trained in completed.items()})
    missing = {run: lacking[path] for run, path in paths.items() if path in lacking}
    missing |= {run: run.unlogged for run in completed if run.unlogged}
    for run, why in missing.items():
        log.warning(
            f"{run.folder}: is trained, but the W&B server lacks a part ({why}):"
            f" `study sync {run.folder}` completes it"
        )
    for run in completed.keys() - missing.keys():
        try:
            marks.mark_recorded(run.wandb_run.path, run.folder)
        except RunError as error:  # nothing is lost: who needs the mark asks the server
            log.warning(f"{run.folder}: W&B has all of it, which is not noted here ({error})")
    return missing


class WandbCallback(Callback):
    """Logs each epoch as it ends, except the last, which `end` logs with the run's tables.

    `check` is called between batches, and raises Preempted where training is to end.
    """

    def __init__(self, run: AssignedRun, check: Callable[[], None]) -> None:
        self.run, self.check = run, check
        self.stopping = False

    def begin(self, history: list[dict[str, float]]) -> None:
        self.check()  # loading data may have taken a while
        self._log([row for row in history if not self._is_last(row)])

    def batch(self, *_: Any) -> None:
        self.check()

    def epoch(self, row: dict[str, float]) -> None:
        last = self._is_last(row)
        if not last:
            self.check()
        self.stopping = (
            self.run.stop_requested.is_set()
        )  # once: another thread may set it meanwhile
        if not (last or self.stopping):
            self._log([row])

    def stops(self) -> bool:
        return self.stopping

    def _log(self, rows: list[dict[str, float]]) -> None:
        """Log rows; where wandb's service is lost, `end` logs them."""
        try:
            logger.log_rows(self.run.wandb_run, rows)
        except Exception as error:
            if not service.is_lost(error):
                raise

    def _is_last(self, row: dict[str, float]) -> bool:
        return row["epoch"] == self.run.config.epochs
