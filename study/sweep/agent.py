"""What `wandb agent` launches: train the configuration it was handed, logged as it goes.

    python -m study.sweep.agent

Settings come from the W&B run, never from the command line. The run's folder is below STUDY_RUNS
(else `runs`), in one named after the sweep.
"""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from study import online, runs
from study.config import Config, Refused
from study.runs import Failed

PREEMPTED = 143  # 128 + SIGTERM: asks W&B, after mark_preempting, to hand the run out again


class Preempted(BaseException):
    """The machine is taken back: leave now, from the last whole epoch."""


class Orders:
    """What the server or the machine asks of a run while it trains.

    A stop asked for by the server ends the run at its epoch. SIGTERM without such a request is a
    preemption, and so is one that cannot be told from it.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()  # set from wandb's thread
        self.terminated = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._terminate)

    def _terminate(self, *_: Any) -> None:
        self.terminated = True

    def follow(self, log: Any) -> None:
        """Called between batches: look whether anything was asked."""
        if not self.terminated or self.stopping.is_set():
            return
        if not online.asked_to_stop(log):
            raise Preempted
        self.stopping.set()


def main() -> int:
    """Train one run of a sweep; the exit code: 0, 1 failed, 2 refused, 143 preempted."""
    if not os.environ.get("WANDB_SWEEP_ID"):
        return _told("no sweep: launch agents with `wandb agent SWEEP`, " + online.OFFLINE, 2)
    orders = Orders()
    try:
        online.check_server()
        online.check_login()
        log = online.begin(orders.stopping.set)
    except Failed as error:
        return _told(error, 1)
    except Refused as error:
        return _told(error, 2)
    try:
        code = _train(log, orders)
    except Exception:  # an error of ours: told by wandb and the traceback, and not tried again
        log.finish(exit_code=1)
        raise
    log.finish(exit_code=code)
    return code


def _train(log: Any, orders: Orders) -> int:
    try:
        config = Config.drawn(online.settings(log))
    except Refused as error:
        online.log_failure(log, [], str(error))
        return _told(error, 2)
    online.describe(log, config)
    sweep = Path(os.environ.get("STUDY_RUNS") or "runs") / os.environ["WANDB_SWEEP_ID"]
    folder = sweep / f"{runs.name(config)}-{log.id}"
    if log.resumed:
        online.restore(log, folder)
    try:
        run = _watched(config, folder, log, orders)
    except Preempted:
        online.log_preemption(log, folder)
        return _told("preempted: another agent goes on from the last whole epoch", PREEMPTED)
    except (Refused, Failed) as error:
        online.log_failure(log, runs.read_history(folder), str(error))
        return _told(error, 1)
    except Exception as error:
        traceback.print_exc()
        cause = f"{type(error).__name__}: {error}"
        online.log_failure(log, runs.read_history(folder), cause)
        return 1
    online.log_end(log, run)
    online.mark(log, folder)
    return 0


def _watched(config: Config, folder: Path, log: Any, orders: Orders) -> runs.Run:
    """Train with each epoch logged as it ends, but the last, which the run's tables go with."""
    from study.train import loop  # imports torch: after the run was opened, which W&B waits for

    class Watch(loop.Watch):
        def begin(self, history: list[dict[str, float]]) -> None:
            online.log_rows(log, [row for row in history if row["epoch"] < config.epochs])

        def batch(self, *_: Any) -> None:
            orders.follow(log)

        def epoch(self, row: dict[str, float]) -> bool:
            last = row["epoch"] == config.epochs
            if not last:
                orders.follow(log)
            if not (last or orders.stopping.is_set()):
                online.log_rows(log, [row])
            return orders.stopping.is_set()

    return loop.train(config, folder, watch=Watch())


def _told(message: Any, code: int) -> int:
    print(f"study: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
