"""The W&B agent that trains many suggestions at once: `study agent SWEEP --pack K`.

It works in rounds. Up to K agents, all in this process, ask the server for a run each. Runs of one
bucket are trained as a pack (study/train/pack.py). Then all of them end at W&B.
"""

import contextlib
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from study import files, output, runs
from study.config import FIELDS, VARIANT, parse_variant
from study.errors import DiskError, RunError, UsageError
from study.runs import Run
from study.tracking import client, logger
from study.tracking.agent_api import AT_ONCE, HEARTBEAT, Agent, Assignment, heartbeats
from study.tracking.assigned import AssignedRun
from study.tracking.packs import end, group_by_bucket, read_result, train
from study.tracking.signals import Preempted, Signals
from study.train import data, devices, failures

FAILED_ROUNDS = 3  # in a row, of failed runs alone: then the cause is not in the runs
WAITING = (
    "study: the server has no run for this agent now (the sweep is paused, or the server away):"
    " waiting; should it stay so, `wandb agent SWEEP` always works"
)


@dataclass
class Outcome:
    """What an agent did.

    trained: runs, of which the server `stopped` some; failed: run -> cause; signal: what ended the
    agent before the sweep was complete, or None.
    """

    trained: int = 0
    stopped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    signal: int | None = None

    @property
    def ended(self) -> int:
        return self.trained + len(self.failed)


def run(
    path: str, pack: int, count: int | None = None, device: str | None = None, threads: int = 1
) -> Outcome:
    """Train what a sweep's server suggests, up to `pack` runs at once.

    It ends when the server sends every agent away, or `count` runs have ended. SIGTERM and Ctrl-C
    requeue the runs.

    Raises:
        UsageError: no such sweep, API key or device, a data set is not here, or STUDY_RUNS cannot
            be written.
        RunError: no server answers, its suggestions cannot be read, or all runs fail.
    """
    devices.pick(device)
    client.forget_assigned_run()
    api, sweep = client.find_sweep(path, client.check_online)
    files.check_writable(files.agents_folder())  # else no run that is suggested can be trained
    _check_data(sweep)
    agents = _register(api, sweep, min(pack, count or pack))
    rounds = _Rounds(sweep, agents, device, threads)
    with heartbeats(agents):
        try:
            while rounds.active_agents and rounds.outcome.ended != count:
                rounds.run_next(count)
        except Preempted:
            rounds.outcome.signal = rounds.signals.received
    return rounds.outcome


def _check_data(sweep: Any) -> None:
    """Check that the data sets that a sweep names are here, or can be downloaded."""
    names = [str(name) for name in _values(sweep, "dataset")]
    for variant in _values(sweep, VARIANT):
        with contextlib.suppress(UsageError):  # a run of it is to say so
            names += filter(None, [parse_variant(variant).get("dataset")])
    for name in names:
        if FIELDS["dataset"].knows(name):  # a run of another one is to say so
            data.read(name)


def _values(sweep: Any, parameter: str) -> list[Any]:
    """The values that a sweep lists for a parameter."""
    given = sweep.config["parameters"].get(parameter, {})
    return given.get("values", [given["value"]] if "value" in given else [])


def _register(api: Any, sweep: Any, count: int) -> list[Agent]:
    """Register so many agents."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: Agent(api, sweep), range(count)))


class _Rounds:
    """The rounds of a sweep's agents.

    open: the runs of this round that have not ended; results: of the others; failed_rounds: rounds
    in a row in which every run failed; warned: whether the user knows that the server has no run
    now.
    """

    def __init__(
        self, sweep: Any, agents: Sequence[Agent], device: str | None, threads: int
    ) -> None:
        self.sweep, self.agents = sweep, agents
        self.options: dict[str, Any] = {"device": device, "threads": threads}
        self.signals, self.outcome = Signals(), Outcome()
        self.open: list[AssignedRun] = []
        self.results: list[Run | RunError] = []
        self.failed_rounds, self.warned = 0, False

    @property
    def active_agents(self) -> list[Agent]:
        """The agents that the server has not sent away."""
        return [agent for agent in self.agents if not agent.exited]

    def run_next(self, count: int | None) -> None:
        """Run a round of as many runs as the server has, at most what is left of `count`.

        Raises:
            Preempted: this process is to end; its runs are requeued, as upon any error.
            RunError: as `run`.
        """
        self.results = []
        try:
            self._ask(len(self.agents) if count is None else count - self.outcome.ended)
            groups = group_by_bucket(self.open)
            if groups:
                sizes = ", ".join(str(len(group)) for group in groups)
                output.show(f"{len(self.open)} runs begin, trained in packs of {sizes}")
            for group in groups:
                self.signals.check()
                self._end(group, train(group, self.signals.check, **self.options))
        except BaseException:
            self._end(self.open, [read_result(run) for run in self.open])
            raise
        for agent in self.agents:
            agent.assignment = None
        if not self.results:
            self._wait()
        elif any(isinstance(result, Run) for result in self.results):
            self.failed_rounds = 0
        else:
            self._count_failed_round()

    def _ask(self, limit: int) -> None:
        """Ask for a run for each agent, at most `limit`, one after another, since a server that is
        asked twice at once may suggest the same twice; meanwhile others are opened."""
        opening: list[tuple[Assignment, Future[AssignedRun | RunError]]] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for agent in self.active_agents[:limit]:
                    self.signals.check()
                    assignment = agent.ask()
                    if assignment:
                        opening.append((assignment, pool.submit(self._open, assignment)))
                    elif not agent.exited:
                        return  # the server has none for the other agents either
            finally:
                for assignment, opened in opening:
                    self._add(assignment, opened.result())

    def _add(self, assignment: Assignment, opened: AssignedRun | RunError) -> None:
        if isinstance(opened, RunError):
            self._count(f"{self.sweep.id}/{assignment.run_id}", opened)
        else:
            self.open.append(opened)

    def _open(self, assignment: Assignment) -> AssignedRun | RunError:
        def open_run() -> Any:
            return logger.init_assignment(self.sweep, assignment, len(self.agents))

        try:
            return AssignedRun.open(open_run, self.sweep.id, assignment.stop_requested)
        except Exception as error:
            return failures.as_run_error(error)

    def _end(self, group: Sequence[AssignedRun], results: Sequence[Run | RunError | None]) -> None:
        """End runs at W&B."""
        end(group, results)
        for run, result in zip(group, results):
            self._count(str(run.folder), result)
        self.open = [run for run in self.open if run not in group]

    def _count(self, name: str, result: Run | RunError | None) -> None:
        """Count and print the end of a run."""
        self.results += [result] if result else []
        if isinstance(result, RunError):
            self.outcome.failed[name] = str(result)
            what = "handed back" if isinstance(result, DiskError) else "failed"
            output.show(f"{name}: {what}: {result}", sys.stderr)
        elif result:
            self.outcome.trained += 1
            self.outcome.stopped += result.state == runs.STOPPED
            accuracy = result.summary["test_accuracy_last"]
            output.show(f"{name}: {result.state}, test accuracy {accuracy:.2f}")

    def _count_failed_round(self) -> None:
        self.failed_rounds += 1
        if self.failed_rounds == FAILED_ROUNDS:
            raise RunError(
                f"all runs of {FAILED_ROUNDS} rounds failed, the last:"
                f" {self.results[-1]}: mend that and start the agent again"
            )

    def _wait(self) -> None:
        """Wait before the server is asked again."""
        if self.active_agents and not self.warned:
            self.warned = True
            output.show(WAITING, sys.stderr)
        end = time.monotonic() + HEARTBEAT
        while self.active_agents and time.monotonic() < end:
            self.signals.check()
            time.sleep(0.1)
