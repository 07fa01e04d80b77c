"""What a W&B server suggests to an agent: the two calls for it, which wandb keeps to itself.

They are those of `wandb agent`: register an agent with a sweep, then heartbeat, answered by what
the agent is to do. They have no public name, so that a release of wandb may change them.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.errors import RunError

HEARTBEAT = 5  # seconds between two, as of wandb's own agent


@dataclass(eq=False)
class Suggestion:
    """A run that the server hands out: its id, what is drawn for it, whether it is to stop."""

    run: str
    drawn: dict[str, Any]
    stopping: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        import wandb

        reason = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"wandb {wandb.__version__} does not get runs from the server in the way that `study"
            f" agent` knows ({type(error).__name__}: {reason}): `wandb agent SWEEP` always works"
        ) from error


class Agent:
    """One agent of a sweep, as the server sees it: it is handed one run at a time.

    suggestion: what it was handed and has not given up; gone: it is to ask no more.

    Raises:
        RunError: wandb or the server does not know these calls any more; `ask` and `beat` too.
    """

    @_guarded()
    def __init__(self, api: Any, sweep: Any) -> None:
        from wandb.apis.public.sweeps import _register_agent

        self.api = api
        self.suggestion: Suggestion | None = None
        self.gone = False
        place = {"sweep_id": sweep.id, "project": sweep.project, "entity": sweep.entity}
        self.id = _register_agent(api, socket.gethostname(), **place)["id"]

    @_guarded()
    def ask(self) -> Suggestion | None:
        """The next run, to begin or to go on with; None where the server has none now."""
        self.suggestion = None
        for command in self._heartbeat({}):
            if command["type"] == "exit":
                self.gone = True
            elif command["type"] in ("run", "resume"):
                drawn = {name: entry["value"] for name, entry in command["args"].items()}
                self.suggestion = Suggestion(command["run_id"], drawn)
        return self.suggestion

    @_guarded()
    def beat(self) -> None:
        """PipeCallback the server that the agent's run goes on, and hear whether it is to stop."""
        suggestion = self.suggestion
        if suggestion is None or self.gone:
            return
        for command in self._heartbeat({suggestion.run: True}):
            if command["type"] == "exit":
                self.gone = True
            if command["type"] in ("stop", "exit"):
                suggestion.stopping.set()

    def _heartbeat(self, running: dict[str, bool]) -> list[dict[str, Any]]:
        """What the agent is to do; nothing where the server is away: wandb does not tell."""
        from wandb.apis.public.sweeps import _agent_heartbeat
        from wandb.sdk.sweeps import SweepNotFoundError

        try:
            return _agent_heartbeat(self.api, self.id, {}, running)
        except SweepNotFoundError:  # deleted: a run may end, as under wandb's own agent
            self.gone = True
            return []


@contextlib.contextmanager
def kept_alive(agents: Sequence[Agent]) -> Iterator[None]:
    """In the background, beat for the agents that have a run; without it, the server would take
    them for dead, and their runs would not hear of a stop."""
    over = threading.Event()

    def beats() -> None:
        with contextlib.suppress(RunError):  # told where the agent asks for its next run
            while not over.wait(HEARTBEAT):
                for agent in agents:
                    agent.beat()

    threading.Thread(target=beats, daemon=True).start()
    try:
        yield
    finally:
        over.set()
