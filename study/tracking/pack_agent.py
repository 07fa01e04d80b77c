"""The W&B agent that trains many suggestions at once: `study agent SWEEP --pack K`.

It works in rounds. Up to K agents, all in this process, ask the server for a run each. Runs of one
bucket are trained as a pack (study/train/pack.py). Then all of them end at W&B.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from study import runs
from study.errors import RunError, UsageError, describe
from study.runs import Run
from study.tracking import client, logger
from study.tracking.agent_api import HEARTBEAT, Agent, Suggestion, heartbeats
from study.tracking.assigned import AssignedRun, Preempted, Signals, WandbCallback
from study.train import devices, pack_runs

UPLOADERS = 8  # runs whose files and tables are uploaded at once
FAILED_ROUNDS = 3  # in a row, of failed runs alone: then the cause is not in the runs
WAITING = (
    "study: the server has no run for this agent now (the sweep is paused, or the server away):"
    " waiting; should it stay so, `wandb agent SWEEP` always works"
)
# Variables that `wandb agent` sets for its program: wandb would take each of our runs for that one.
AGENT_VARIABLES = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


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
        UsageError: no such sweep, API key or device.
        RunError: no server answers, its suggestions cannot be read, or all runs fail.
    """
    devices.pick(device)
    for name in AGENT_VARIABLES:
        os.environ.pop(name, None)
    api, sweep = client.find_sweep(path)
    agents = [Agent(api, sweep) for _ in range(min(pack, count or pack))]
    rounds = _Rounds(sweep, agents, device, threads)
    with heartbeats(agents):
        try:
            while rounds.active_agents and rounds.outcome.ended != count:
                rounds.run_next(count)
        except Preempted:
            rounds.outcome.signal = rounds.signals.received
    return rounds.outcome


class _Rounds:
    """The rounds of a sweep's agents.

    open: the runs of this round that have not ended; failed_rounds: rounds in a row in which every
    run failed; warned: whether the user knows that the server has no run now.
    """

    def __init__(
        self, sweep: Any, agents: Sequence[Agent], device: str | None, threads: int
    ) -> None:
        self.sweep, self.agents = sweep, agents
        self.options: dict[str, Any] = {"device": device, "threads": threads}
        self.signals, self.outcome = Signals(), Outcome()
        self.open: list[AssignedRun] = []
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
        ended, trained = self.outcome.ended, self.outcome.trained
        try:
            self._ask(len(self.agents) if count is None else count - ended)
            groups = _group_by_bucket(self.open)
            if groups:
                sizes = ", ".join(str(len(group)) for group in groups)
                print(f"{len(self.open)} runs begin, trained in packs of {sizes}", flush=True)
            for group in groups:
                self.signals.check()
                self._end(group, self._train(group))
        except BaseException:
            self._end(self.open, [_result(run) for run in self.open])
            raise
        for agent in self.agents:
            agent.suggestion = None
        if self.outcome.ended == ended:
            self._wait()
        elif self.outcome.trained == trained:
            self._count_failed_round()
        else:
            self.failed_rounds = 0

    def _ask(self, limit: int) -> None:
        """Ask for a run for each agent, at most `limit`.

        Each run is opened before the next agent asks, or the server may suggest the same again.
        """
        for agent in self.active_agents[:limit]:
            self.signals.check()
            suggestion = agent.ask()
            if suggestion:
                self._open(suggestion)
            elif not agent.exited:
                return  # the server has none for the other agents either

    def _open(self, suggestion: Suggestion) -> None:
        wandb_run = logger.init_suggested(self.sweep, suggestion, len(self.agents))
        try:
            run = AssignedRun.from_wandb(wandb_run, self.sweep.id, suggestion.stop_requested)
            self.open.append(run)
            return
        except UsageError as error:
            code, cause = 2, str(error)
        except Exception as error:  # its checkpoint cannot be fetched, say
            code, cause = 1, _report_error(error)
        wandb_run.finish(exit_code=code)
        self._count(f"{self.sweep.id}/{suggestion.run_id}", RunError(cause))

    def _train(self, group: Sequence[AssignedRun]) -> list[Run | RunError]:
        """Train runs of one bucket, and return what became of each."""
        configs, folders = [run.config for run in group], [run.folder for run in group]
        callbacks = [WandbCallback(run, self.signals.check) for run in group]
        try:
            if len(group) > 1:
                return pack_runs.train(configs, folders, callbacks=callbacks, **self.options)
            options = self.options | {"callback": callbacks[0]}
            return [pack_runs.train_one(configs[0], folders[0], **options)]
        except (UsageError, RunError) as error:
            cause = str(error)
        except Exception as error:  # a bug: the other groups may not meet it
            cause = _report_error(error)
        return [_result(run) or RunError(cause) for run in group]

    def _end(self, group: Sequence[AssignedRun], results: Sequence[Run | RunError | None]) -> None:
        """End runs at W&B, several at once, since each waits for its uploads."""
        with ThreadPoolExecutor(UPLOADERS) as pool:
            for run, result in zip(group, pool.map(_end, group, results)):
                self._count(str(run.folder), result)
        self.open = [run for run in self.open if run not in group]

    def _count(self, name: str, result: Run | RunError | None) -> None:
        """Count and print the end of a run."""
        if isinstance(result, RunError):
            self.outcome.failed[name] = str(result)
            print(f"{name}: failed: {result}", file=sys.stderr)
        elif result:
            self.outcome.trained += 1
            self.outcome.stopped += result.state == runs.STOPPED
            accuracy = result.summary["test_accuracy_last"]
            print(f"{name}: {result.state}, test accuracy {accuracy:.2f}", flush=True)

    def _count_failed_round(self) -> None:
        self.failed_rounds += 1
        if self.failed_rounds == FAILED_ROUNDS:
            raise RunError(
                f"all runs of {FAILED_ROUNDS} rounds failed, the last:"
                f" {list(self.outcome.failed.values())[-1]}: mend that and start the agent again"
            )

    def _wait(self) -> None:
        """Wait before the server is asked again."""
        if self.active_agents and not self.warned:
            self.warned = True
            print(WAITING, file=sys.stderr)
        end = time.monotonic() + HEARTBEAT
        while self.active_agents and time.monotonic() < end:
            self.signals.check()
            time.sleep(0.1)


def _group_by_bucket(assigned: Sequence[AssignedRun]) -> list[list[AssignedRun]]:
    """Group the runs by bucket; a run that only the loop trains is a group of its own."""
    groups: dict[Any, list[AssignedRun]] = {}
    for run in assigned:
        groups.setdefault(pack_runs.bucket(run.config) or run, []).append(run)
    return list(groups.values())


def _result(assigned: AssignedRun) -> Run | RunError | None:
    """Read from its folder what became of a run; None where it has not ended."""
    if not (assigned.folder / runs.CONFIG).is_file():
        return None
    run = runs.read(assigned.folder)
    if run.state == runs.FAILED:
        return RunError(run.summary["cause"])
    return run if run.done else None


def _end(assigned: AssignedRun, result: Run | RunError | None) -> Run | RunError | None:
    """End a run at W&B as completed, failed or requeued, and return what it ended as."""
    try:
        if result is None:
            code = assigned.requeue()
        elif isinstance(result, RunError):
            code = assigned.fail(str(result))
        else:
            code = assigned.complete(result)
    except Exception as error:  # the other runs still have to be ended
        code, result = 1, RunError(_report_error(error))
    assigned.wandb_run.finish(exit_code=code)
    return result


def _report_error(error: Exception) -> str:
    """Print the traceback of an error that is ours or wandb's, and return it in one line."""
    traceback.print_exception(error)
    return describe(error)
