"""What `wandb agent` launches: train the configuration it was handed, logged as it goes.

    python -m study.sweep.agent

Settings come from the W&B run, never from the command line. The run's folder is below STUDY_RUNS
(else `runs`), in one named after the sweep.
"""

import os
import sys
import threading
import traceback
from typing import Any

from study.errors import RunError, UsageError
from study.tracking import assigned, client, logger
from study.tracking.assigned import Preempted, Signals


class Orders(Signals):
    """What the server or the machine asks of a run while it trains.

    A stop asked for by the server ends the run at its epoch. It also comes as SIGTERM, which
    without such a request is a preemption, and so is one that cannot be told from it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stopping = threading.Event()  # set from wandb's thread
        self.log: Any = None

    def follow(self) -> None:
        if not self.told or self.stopping.is_set():
            return
        if not logger.asked_to_stop(self.log):
            raise Preempted
        self.stopping.set()


def main() -> int:
    """Train one run of a sweep; the exit code: 0, 1 failed, 2 refused, 143 preempted."""
    if not os.environ.get("WANDB_SWEEP_ID"):
        return _told("no sweep: launch agents with `wandb agent SWEEP`, " + client.OFFLINE, 2)
    orders = Orders()
    try:
        client.check_reachable()
        client.check_login()
        orders.log = logger.begin(orders.stopping.set)
    except RunError as error:
        return _told(error, 1)
    except UsageError as error:
        return _told(error, 2)
    try:
        code = _train(orders)
    except Exception:  # an error of ours: told by wandb and the traceback, and not tried again
        orders.log.finish(exit_code=1)
        raise
    orders.log.finish(exit_code=code)
    return code


def _train(orders: Orders) -> int:
    try:
        run = assigned.take(orders.log, os.environ["WANDB_SWEEP_ID"], orders.stopping)
    except UsageError as error:
        return _told(error, 2)
    from study.train import loop  # imports torch: after the run was opened, which W&B waits for

    try:
        trained = loop.train(run.config, run.folder, callback=assigned.Logged(run, orders.follow))
    except Preempted:
        return _told("preempted: another agent goes on from the last whole epoch", run.hand_back())
    except (UsageError, RunError) as error:
        return _told(error, run.fail(str(error)))
    except Exception as error:
        traceback.print_exc()
        return run.fail(f"{type(error).__name__}: {error}")
    return run.end(trained)


def _told(message: Any, code: int) -> int:
    print(f"study: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
