"""Whether a process, here or elsewhere, trains a run that W&B takes for running.

A lock says it of this machine's processes alone, and a run that was handed back goes on anywhere:
W&B hears from the process of each.
"""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from study import locks
from study.runs import Run
from study.tracking import marks
from study.tracking.signals import Signals
from study.values import count

# Seconds that a process may take to open a run before it locks the run's folder; W&B hears from one
# that lives more often.
OPENING = 120
ALIVE_NOW = "W&B has heard from it a moment ago, so that a process may train it"
ELSEWHERE = "W&B has heard from it again meanwhile: another machine trains it"
UNKNOWN = "W&B says that it runs, and its disk has no locks to tell: sync again once it has crashed"

# When a run was opened here, and its last heartbeat at W&B.
Signs = tuple[float, str | None]

log = logging.getLogger(__name__)


def why_alive(run: Run, on_server: Any, awaited: dict[Path, Signs]) -> str:
    """Return why a process may train a run that W&B takes for running, or "".

    awaited: what was so of each run before this command has waited for a sign of life.
    """
    if locks.is_in_use(run.path) is None:
        return UNKNOWN
    signs = marks.time_opened(run.path), on_server.heartbeatAt
    if run.path in awaited:
        return "" if signs == awaited[run.path] else ELSEWHERE
    if time.time() - _time_of(signs) >= OPENING:
        return ""
    awaited[run.path] = signs
    return ALIVE_NOW


def wait(awaited: Mapping[Path, Signs], signals: Signals) -> None:
    """Wait until processes that live must have locked the folders of these runs, or W&B heard from
    them again.

    Raises:
        Preempted: this process is to end.
    """
    last = max(map(_time_of, awaited.values()))
    end = min(last, time.time()) + OPENING  # the clock of a shared disk, or W&B's, may be ahead
    log.warning(
        f"{count(len(awaited), 'run')} may be at work, as of a moment ago: waiting"
        f" {max(end - time.time(), 0):.0f} s for another sign of it"
    )
    while time.time() < end:
        signals.check()
        time.sleep(0.2)


def _time_of(signs: Signs) -> float:
    """Return the time of the later of the signs, in seconds since 1970."""
    opened, heartbeat = signs
    try:
        heard = datetime.fromisoformat(heartbeat or "")
    except ValueError:
        return opened
    return max(opened, (heard if heard.tzinfo else heard.replace(tzinfo=UTC)).timestamp())
