"""The program that `wandb agent` starts: train the run that the server has assigned.

    python -m study.sweep.agent

Settings come from the W&B run, never from the command line. The run's folder is below STUDY_RUNS
(default: `runs`), in a folder named after the sweep.
"""

import os
import sys
import threading
import traceback
from typing import Any

from study import escape
from study.errors import RunError, UsageError, describe
from study.tracking import client, logger
from study.tracking.assigned import AssignedRun, Preempted, Signals, WandbCallback


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
        if not self.received or self.stop_requested.is_set():
            return
        if not logger.stop_requested(self.wandb_run):
            raise Preempted
        self.stop_requested.set()


def main() -> int:
    """Train one run of a sweep; the exit code: 0, 1 failed, 2 bad settings, 143 preempted."""
    if not os.environ.get("WANDB_SWEEP_ID"):
        return _exit("no sweep: launch agents with `wandb agent SWEEP`, " + client.OFFLINE, 2)
    signals = AgentSignals()
    try:
        client.check_reachable()
        client.check_login()
        signals.wandb_run = logger.init_assigned(signals.stop_requested.set)
    except RunError as error:
        return _exit(error, 1)
    except UsageError as error:
        return _exit(error, 2)
    try:
        code = _train(signals)
    except Exception:  # a bug: the traceback says which, and W&B shall not assign the run again
        signals.wandb_run.finish(exit_code=1)
        raise
    signals.wandb_run.finish(exit_code=code)
    return code


def _train(signals: AgentSignals) -> int:
    sweep = os.environ["WANDB_SWEEP_ID"]
    try:
        assigned = AssignedRun.from_wandb(signals.wandb_run, sweep, signals.stop_requested)
    except UsageError as error:
        return _exit(error, 2)
    from study.train import pack_runs  # imports torch: W&B waits for the run to be opened

    callback = WandbCallback(assigned, signals.check)
    try:
        run = pack_runs.train_one(assigned.config, assigned.folder, callback=callback)
    except Preempted:
        code = assigned.requeue()
        return _exit("preempted: another agent goes on from the last whole epoch", code)
    except (UsageError, RunError) as error:
        return _exit(error, assigned.fail(str(error)))
    except Exception as error:
        traceback.print_exc()
        return assigned.fail(describe(error))
    return assigned.complete(run)


def _exit(message: Any, code: int) -> int:
    for line in str(message).splitlines():
        print(f"study: {escape.printable(line)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
