"""wandb's service: the process beside this one that holds its open runs and speaks to the server.

A signal to every process of a job kills it too: Slurm's, say, when it takes a machine back. This
process still has to hand its runs back then, and opens them again in a new service.
"""

import contextlib
import threading

_lock = threading.Lock()
_restarts = 0


def is_lost(error: Exception) -> bool:
    """Whether wandb raised the error because its service is gone. No error of printing is one: of
    those output.lasting() lets none through."""
    # wandb keeps HandleAbandonedError, for an answer that will not come, private.
    return isinstance(error, ConnectionError) or type(error).__name__ == "HandleAbandonedError"


def is_refusal(error: Exception) -> bool:
    """Whether wandb raised the error because a run cannot be opened."""
    import wandb

    # wandb keeps ServerResponseError private: of a run, say, that it could not open before in this
    # process, and calls in use from then on.
    known = isinstance(error, wandb.errors.Error)
    return known or type(error).__name__ == "ServerResponseError"


def restarts() -> int:
    """Return how often this process has replaced its service: a run belongs to one of them."""
    return _restarts


def restart(seen: int) -> None:
    """Have the next run opened in a new service. Of runs that lost one together, the first replaces
    it; seen: what `restarts` was when the run was opened."""
    global _restarts
    import wandb

    with _lock:
        if seen == _restarts:
            with contextlib.suppress(Exception):  # it says goodbye to the one that is gone
                wandb.teardown(exit_code=1)
            _restarts += 1
