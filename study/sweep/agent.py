"""The program that `wandb agent` starts: train the run that the server has assigned.

    python -m study.sweep.agent

Settings come from the W&B run, never from the command line. The run's folder is below STUDY_RUNS
(default: `runs`), in a folder named after the sweep. All that takes time is imported in functions,
when SIGTERM is caught already: it hands the run back from the first moment on.
"""

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from study import output
from study.errors import RunError, UsageError
from study.tracking.signals import Preempted, Signals

if TYPE_CHECKING:
    from study.runs import Run
    from study.tracking.assigned import AssignedRun


class AgentSignals(Signals):
    """Tells a stop that the server asks for from a preemption.

    A stop ends the run after its epoch. wandb also sends SIGTERM for it. SIGTERM without such a
    request is a preemption, and so is one that may be either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stop_requested = threading.Event()  # set from wandb's thread
        self.wandb_run: Any = None

    def check(self) -> None:
        from study.tracking import logger

        if not self.received or self.stop_requested.is_set():
            return
        if not logger.stop_requested(self.wandb_run):
            raise Preempted
        self.stop_requested.set()


def main() -> int:
    """Train one run of a sweep; the exit code: 0, 1 failed, 2 bad settings, 143 preempted."""
    signals = AgentSignals()
    with output.lasting():  # a signal to every process of a job ends who reads us, too
        return _run(signals)


def _run(signals: AgentSignals) -> int:
    try:
        assigned = _open(signals)
    except RunError as error:
        return output.end(error, 1)
    except UsageError as error:
        return output.end(error, 2)
    from study.tracking.assigned import confirm

    result = _train(assigned, signals)
    code = assigned.end(result)
    if result is None:
        return output.end("preempted: another agent goes on from the last whole epoch", code)
    if isinstance(result, RunError):
        return output.end(result, code)
    confirm({assigned: result})
    return code


def _open(signals: AgentSignals) -> "AssignedRun":
    """Open the assigned run.

    Raises:
        UsageError: there is no sweep or API key, or the run's settings cannot be trained.
        RunError: no server answers, or it does not accept the run.
    """
    from study.tracking import client, logger
    from study.tracking.assigned import AssignedRun

    sweep = os.environ.get("WANDB_SWEEP_ID")
    if not sweep:
        raise UsageError(f"no sweep: launch agents with `wandb agent SWEEP`, {client.OFFLINE}")
    client.check_online()

    def open_run() -> Any:
        signals.wandb_run = logger.init_assigned(signals.stop_requested.set)
        return signals.wandb_run

    return AssignedRun.open(open_run, sweep, signals.stop_requested)


def _train(assigned: "AssignedRun", signals: AgentSignals) -> "Run | RunError | None":
    """Return what became of the run; None where it was preempted."""
    from study.tracking.assigned import WandbCallback
    from study.train import failures, pack_runs  # imports torch: W&B waits for the run to be opened

    callback = WandbCallback(assigned, signals.check)
    try:
        signals.check()
        return pack_runs.train_one(assigned.config, assigned.folder, callback=callback)
    except Preempted:
        return None
    except Exception as error:
        return failures.as_run_error(error)


if __name__ == "__main__":
    sys.exit(main())
