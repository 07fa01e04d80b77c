"""The two calls by which an agent gets runs from a W&B sweep, which wandb keeps private.

`wandb agent` makes them too: it registers an agent with a sweep, then sends heartbeats, which the
server answers with commands. A release of wandb may change them, so every use is guarded here.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from study.errors import RunError, describe

HEARTBEAT = 5  # seconds between two, as of wandb's own agent
AT_ONCE = 16  # requests of the agents of a process

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Assignment:
    """A run that the server assigns to an agent: its id and the parameters chosen for it.

    `stop_requested` is set when the server asks the run to end.
    """

    run_id: str
    parameters: dict[str, Any]
    stop_requested: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def _guard() -> Iterator[None]:
    """Turn any error of these calls into one line that names what always works."""
    try:
        yield
    except Exception as error:
        import wandb

        raise RunError(
            f"wandb {wandb.__version__} does not get runs from the server in the way that `study"
            f" agent` knows ({describe(error)}): `wandb agent SWEEP` always works"
        ) from error


class Agent:
    """One agent of a sweep, as the server sees it. It has at most one run at a time.

    assignment: the run it has; exited: whether the server has sent it away.

    Raises:
        RunError: wandb or the server no longer knows these calls; `ask` and `heartbeat` too.
    """

    @_guard()
    def __init__(self, api: Any, sweep: Any) -> None:
        from wandb.apis.public.sweeps import _register_agent

        self.api = api
        self.assignment: Assignment | None = None
        self.exited = False
        address = {"sweep_id": sweep.id, "project": sweep.project, "entity": sweep.entity}
        self.id = _register_agent(api, socket.gethostname(), **address)["id"]

    @_guard()
    def ask(self) -> Assignment | None:
        """Ask for the next run, to begin or to resume; None where the server has none now."""
        self.assignment = None
        for command in self._send_heartbeat({}):
            if command["type"] == "exit":
                self.exited = True
            elif command["type"] in ("run", "resume"):
                parameters = {name: entry["value"] for name, entry in command["args"].items()}
                self.assignment = Assignment(command["run_id"], parameters)
        return self.assignment

    @_guard()
    def heartbeat(self) -> None:
        """Report that the agent's run is alive, and pass on the server's request to stop it."""
        assignment = self.assignment
        if assignment is None or self.exited:
            return
        for command in self._send_heartbeat({assignment.run_id: True}):
            if command["type"] == "exit":
                self.exited = True
            if command["type"] in ("stop", "exit"):
                assignment.stop_requested.set()

    def _send_heartbeat(self, running: dict[str, bool]) -> list[dict[str, Any]]:
        """Return the server's commands; none where the server is away, which wandb hides."""
        from wandb.apis.public.sweeps import _agent_heartbeat
        from wandb.sdk.sweeps import SweepNotFoundError

        try:
            return _agent_heartbeat(self.api, self.id, {}, running)
        except SweepNotFoundError:  # deleted: a run may end, as under wandb's own agent
            self.exited = True
            return []


@contextlib.contextmanager
def heartbeats(agents: Sequence[Agent]) -> Iterator[None]:
    """Send the heartbeats of all agents in the background.

    Without them the server would take the agents for dead, and their runs would not learn of a
    request to stop.
    """
    over, warned = threading.Event(), threading.Event()

    def send_one(agent: Agent) -> None:
        try:
            agent.heartbeat()
        except RunError as error:  # the next may pass; it ends no training
            if not warned.is_set():
                warned.set()
                log.warning(f"a heartbeat to the sweep failed, more follow: {error}")

    def send() -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not over.wait(HEARTBEAT):
                list(pool.map(send_one, agents))

    threading.Thread(target=send, daemon=True).start()
    try:
        yield
    finally:
        over.set()
