"""The W&B agent that trains many suggestions at once: `study agent SWEEP --pack K`.

It works in rounds. Up to K agents, all of this process, ask the server for a run each; those of
one bucket are trained together (see train/fused.py); then all are ended at W&B.
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
from study.errors import RunError, UsageError
from study.runs import Run
from study.tracking import assigned, client, logger
from study.tracking.agent_api import HEARTBEAT, Agent, Suggestion, kept_alive
from study.tracking.assigned import AssignedRun, Preempted, Signals
from study.train import devices, loop, pack_runs

ENDERS = 8  # runs whose files and tables are uploaded at once
FRUITLESS = 3  # rounds in a row of failed runs alone: then it is not the runs that are broken
WAITS = (
    "study: the server has no run for this agent now (the sweep is paused, or the server away):"
    " waiting; should it stay so, `wandb agent SWEEP` always works"
)
# What `wandb agent` leaves its script: wandb would take each of our runs for that one.
INHERITED = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


@dataclass
class Outcome:
    """What an agent did: runs trained (some of them stopped by the server), failed (which ->
    cause); the signal that ended it before the sweep was through, or None."""

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
    """Train what the server of a sweep suggests, up to `pack` runs at once, until it tells every
    agent to leave or `count` runs have ended. SIGTERM and Ctrl-C hand the runs back.

    Raises:
        UsageError: no such sweep, API key or device.
        RunError: no server answers, its suggestions cannot be had, or nothing but failures comes.
    """
    devices.pick(device)
    for name in INHERITED:
        os.environ.pop(name, None)
    api, sweep = client.find_sweep(path)
    agents = [Agent(api, sweep) for _ in range(min(pack, count or pack))]
    rounds = _Rounds(sweep, agents, device, threads)
    with kept_alive(agents):
        try:
            while rounds.going and rounds.outcome.ended != count:
                rounds.next(count)
        except Preempted:
            rounds.outcome.signal = rounds.signals.told
    return rounds.outcome


class _Rounds:
    """The rounds of a sweep's agents. open: this round's runs that have not ended; fruitless:
    rounds in a row of failures alone; waits: whether the server was found to have none."""

    def __init__(
        self, sweep: Any, agents: Sequence[Agent], device: str | None, threads: int
    ) -> None:
        self.sweep, self.agents = sweep, agents
        self.where = {"device": device, "threads": threads}
        self.signals, self.outcome = Signals(), Outcome()
        self.open: list[AssignedRun] = []
        self.fruitless, self.waits = 0, False

    @property
    def going(self) -> list[Agent]:
        """The agents that the server has not told to leave."""
        return [agent for agent in self.agents if not agent.gone]

    def next(self, count: int | None) -> None:
        """A round, of as many runs as the server has and `count` leaves.

        Raises:
            Preempted: this process is to end; its runs were handed back, as upon any error.
            RunError: as `run`.
        """
        ended, trained = self.outcome.ended, self.outcome.trained
        try:
            self._take(len(self.agents) if count is None else count - ended)
            groups = _groups(self.open)
            if groups:
                sizes = ", ".join(str(len(group)) for group in groups)
                print(f"{len(self.open)} runs begin, trained in packs of {sizes}", flush=True)
            for group in groups:
                self.signals.follow()
                self._end(group, self._train(group))
        except BaseException:
            self._end(self.open, [_reached(one) for one in self.open])
            raise
        for agent in self.agents:
            agent.suggestion = None
        if self.outcome.ended == ended:
            self._wait()
        elif self.outcome.trained == trained:
            self._count_fruitless()
        else:
            self.fruitless = 0

    def _take(self, most: int) -> None:
        """Open the run of each agent before the next one asks, or the server may suggest the same
        again."""
        for agent in self.going[:most]:
            self.signals.follow()
            suggestion = agent.ask()
            if suggestion:
                self._open(suggestion)
            elif not agent.gone:
                return  # it has none for the others either

    def _open(self, suggestion: Suggestion) -> None:
        run, stopping = suggestion.run, suggestion.stopping
        others = len(self.agents) - 1
        log = logger.begin_beside(self.sweep, run, suggestion.drawn, stopping.set, others)
        try:
            self.open.append(assigned.take(log, self.sweep.id, stopping))
            return
        except UsageError as error:
            code, cause = 2, str(error)
        except Exception as error:  # its checkpoint could not be had, say
            code, cause = 1, _told(error)
        log.finish(exit_code=code)
        self._note(f"{self.sweep.id}/{run}", RunError(cause))

    def _train(self, group: Sequence[AssignedRun]) -> list[Run | RunError]:
        """What became of runs of one bucket."""
        configs, folders = [one.config for one in group], [one.folder for one in group]
        callbacks = [assigned.Logged(one, self.signals.follow) for one in group]
        try:
            if len(group) > 1:
                return pack_runs.train(configs, folders, callbacks=callbacks, **self.where)
            return [loop.train(configs[0], folders[0], callback=callbacks[0], **self.where)]
        except (UsageError, RunError) as error:
            cause = str(error)
        except Exception as error:  # of ours: the other groups may do without what is broken
            cause = _told(error)
        return [_reached(one) or RunError(cause) for one in group]

    def _end(self, group: Sequence[AssignedRun], results: Sequence[Run | RunError | None]) -> None:
        """End runs at W&B, several at once, as each waits for its uploads."""
        with ThreadPoolExecutor(ENDERS) as pool:
            for one, result in zip(group, pool.map(_end, group, results)):
                self._note(str(one.folder), result)
        self.open = [one for one in self.open if one not in group]

    def _note(self, name: str, result: Run | RunError | None) -> None:
        if isinstance(result, RunError):
            self.outcome.failed[name] = str(result)
            print(f"{name}: failed: {result}", file=sys.stderr)
        elif result:
            self.outcome.trained += 1
            self.outcome.stopped += result.state == runs.STOPPED
            accuracy = result.summary["test_accuracy_last"]
            print(f"{name}: {result.state}, test accuracy {accuracy:.2f}", flush=True)

    def _count_fruitless(self) -> None:
        self.fruitless += 1
        if self.fruitless == FRUITLESS:
            raise RunError(
                f"all runs of {FRUITLESS} rounds failed, the last:"
                f" {list(self.outcome.failed.values())[-1]}: mend that and start the agent again"
            )

    def _wait(self) -> None:
        """Wait before the server is asked again."""
        if self.going and not self.waits:
            self.waits = True
            print(WAITS, file=sys.stderr)
        end = time.monotonic() + HEARTBEAT
        while self.going and time.monotonic() < end:
            self.signals.follow()
            time.sleep(0.1)


def _groups(taken: Sequence[AssignedRun]) -> list[list[AssignedRun]]:
    """Those of one bucket together; alone what the loop trains."""
    found: dict[Any, list[AssignedRun]] = {}
    for one in taken:
        found.setdefault(pack_runs.bucket(one.config) or one, []).append(one)
    return list(found.values())


def _reached(one: AssignedRun) -> Run | RunError | None:
    """What became of a run, by its folder; None where it has not ended."""
    if not (one.folder / runs.CONFIG).is_file():
        return None
    found = runs.read(one.folder)
    if found.state == runs.FAILED:
        return RunError(found.summary["cause"])
    return found if found.done else None


def _end(one: AssignedRun, result: Run | RunError | None) -> Run | RunError | None:
    """End a run at W&B: trained, failed, or to be handed out again; what it ended as."""
    try:
        if result is None:
            code = one.hand_back()
        elif isinstance(result, RunError):
            code = one.fail(str(result))
        else:
            code = one.end(result)
    except Exception as error:  # the others are to be ended all the same
        code, result = 1, RunError(_told(error))
    one.log.finish(exit_code=code)
    return result


def _told(error: Exception) -> str:
    """The cause, after the traceback of an error that is ours or wandb's."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"
