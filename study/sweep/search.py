"""What the searches of all methods share: leases, what became of their runs, the target."""

import abc
import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from study import runs
from study.config import Config
from study.errors import RunError
from study.metrics import Metric
from study.sweep.sweep import Sweep
from study.sweep.trials import JOURNAL, Trial, TrialStore


class Suggestion(NamedTuple):
    """A configuration to train: the number of its sample, and the internal values behind it."""

    config: Config
    sample: int
    params: Mapping[str, Any]


class Search(abc.ABC):
    """A sweep in progress, here and in the other commands that share its trial store.

    By the names of runs: `leased`, the trials that this command trains now; `asked`, all that it
    has asked for; `done`, those trained; `done_here`, those trained that are in this machine's
    folder; `done_before`, those trained at the start; `histories`, see _read_histories.

    Raises:
        UsageError: a database that cannot be used, or a damaged journal.
        RunError: the database does not answer.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, seed: int = 0, storage: Path | str | None = None
    ) -> None:
        self.sweep, self.out, self.seed = sweep, out, seed
        self.store = TrialStore(storage or out / JOURNAL, self.study_name(), sweep.maximizes)
        self.store.release_expired()
        self.leased: dict[str, Trial] = {}
        self.asked: set[str] = set()
        self.histories: dict[str, list[float]] = {}
        self.done_here, self.reached_here = self._find_done(self._names())
        self._start_with(self.done_here)

    def _start_with(self, done: Iterable[str]) -> None:
        self.done, self.done_before = set(done), frozenset(done)

    @property
    def existing(self) -> int:
        """How many runs had been trained at the start."""
        return len(self.done_before)

    def _find_done(self, names: Iterable[str]) -> tuple[set[str], bool]:
        """Return the sweep's runs that this machine's folder has trained; and whether one of them
        has reached the metric's target."""
        metric, done, reached = self.sweep.metric, set(), False
        for name in names:
            run = runs.read_done(self.out / name)
            if run is None or not self._has(name, run.config):
                continue
            done.add(name)
            reached |= metric is not None and metric.is_reached(metric.best(run.history))
        return done, reached

    # What a method decides.

    @abc.abstractmethod
    def study_name(self) -> str:
        """Return the name of Optuna's study: what changes the search begins another study, a larger
        run_cap does not."""

    def _study_name(self, key: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.sweep.name} {self.sweep.method} {digest}"

    def _space(self) -> dict[str, Any]:
        """Return what is searched, and for what. Names of studies hold a hash of it, and journals
        of users those names, so its text must stay as it is."""
        sweep = self.sweep
        return {
            "parameters": {name: p.definition for name, p in sweep.parameters.items()},
            "metric": repr(sweep.metric),
            "hyperband": repr(sweep.hyperband),
        }

    @abc.abstractmethod
    def pending(self, limit: int | None) -> list[Config]:
        """Return what is left to train, at most `limit`; of a search, configurations like those."""

    @abc.abstractmethod
    def count_epochs(self, limit: int) -> int:
        """Count the epochs ahead in what is left to train, at most `limit` runs."""

    @abc.abstractmethod
    def configs_done_here(self) -> list[Config]:
        """Return the configurations that this machine's folder had at the start."""

    @abc.abstractmethod
    def _names(self) -> set[str]:
        """Return the names of all runs that may be trained by now."""

    @abc.abstractmethod
    def _has(self, name: str, config: Config) -> bool:
        """Whether a run of that name and configuration is one of the sweep's."""

    @abc.abstractmethod
    def _taken(self) -> set[str]:
        """Return the runs that a worker trains or has trained, by the store."""

    @abc.abstractmethod
    def _count_untaken(self) -> int:
        """Count the configurations that no worker has asked for yet."""

    @abc.abstractmethod
    def _suggestions(
        self, count: int, accept: Callable[[Config], bool] | None
    ) -> Iterator[Suggestion]:
        """Yield what to train next, each after the one before was leased, or was not (see
        ask_many)."""

    @abc.abstractmethod
    def _limits(self, name: str) -> dict[str, Any]:
        """Return the `limit` and `repeat` with which the store leases a run."""

    # What there is to do.

    def end_reason(self) -> str:
        """Return why the search ended before its last run; empty where it did not."""
        if self.is_target_reached() and self.sweep.metric:
            return f"the target, {self.sweep.metric.name} {self.sweep.metric.target:g}, is reached"
        return ""

    def is_target_reached(self) -> bool:
        """Whether a run has reached the metric's target, which ends a sweep."""
        return self.reached_here or any(map(self._reaches_target, self.store.trials()))

    def _reaches_target(self, trial: FrozenTrial) -> bool:
        """Whether a trial's run has reached the target, at its end or while it trains."""
        metric = self.sweep.metric
        if metric is None:
            return False
        if trial.state == TrialState.RUNNING:
            return any(map(metric.is_reached, trial.intermediate_values.values()))
        return trial.state == TrialState.COMPLETE and metric.is_reached(trial.value)

    def count_by_other_workers(self) -> int:
        """Count the configurations that other workers train, or trained since the start."""
        self.store.release_expired()
        return len((self._taken() | self.done) - self.done_before - self.asked)

    def count_remaining(self) -> int:
        """Count the configurations that no worker has asked for yet."""
        return 0 if self.end_reason() else self._count_untaken()

    # The next configuration.

    def ask(self) -> Trial | None:
        """Lease the next configuration; None where there is none now."""
        return next(iter(self.ask_many(1)), None)

    def ask_many(self, count: int, accept: Callable[[Config], bool] | None = None) -> list[Trial]:
        """Lease the next configurations, at most `count`.

        Of a grid, whose order does not matter, those that `accept` allows; a search gives the next
        it samples.
        """
        if count < 1:
            return []
        self.store.release_expired()
        leases = map(self._lease, self._suggestions(count, accept))
        return list(itertools.islice((trial for trial in leases if trial), count))

    def _lease(self, suggestion: Suggestion) -> Trial | None:
        config, sample, params = suggestion
        name = runs.name(config)
        varying = {p.name: p.distribution for p in self.sweep.varying if p.name in params}
        metric, limits = self.sweep.metric, self._limits(name)
        of = aim(metric) if metric else ""
        trial = self.store.lease(name, config, sample, params, varying, aim=of, **limits)
        if trial:
            self.leased[name] = trial
            self.asked.add(name)
        return trial

    # What became of it.

    def report(self, trial: Trial, row: Mapping[str, float]) -> None:
        """Store an epoch of a run."""
        metric = self.sweep.metric
        if metric is not None and metric.name in row:
            self.store.report(trial, int(row["epoch"]), row[metric.name])
            self.histories.clear()

    def stops(self, trial: Trial) -> bool:
        """Return whether a run stops after the epoch that it has reported."""
        if not self.sweep.hyperband:
            return False
        if not self.histories:  # read once for the runs that have reported together
            self._read_histories()
        history = self.histories.get(runs.name(trial.config), [])
        return self.sweep.hyperband.stops(history, self.histories.values())

    def _read_histories(self) -> None:
        """Read the metric of each epoch of each run, as hyperband wants it: smaller is better."""
        sign = -1 if self.sweep.maximizes else 1
        self.histories = {  # a run's latest trial has all its epochs, also those before a resume
            t.user_attrs["run"]: [v * sign for _, v in sorted(t.intermediate_values.items())]
            for t in self.store.trials()
        }

    def complete(self, trial: Trial, run: runs.Run) -> None:
        """End the trial of a run that finished or stopped early."""
        self.leased.pop(runs.name(trial.config), None)
        metric = self.sweep.metric
        value = metric.best(run.history) if metric else None
        if metric is None or value is None:
            self.store.complete(trial, 0.0, run.state)
        else:
            self.store.complete(trial, value, run.state, aim(metric))

    def fail(self, trial: Trial, cause: str) -> None:
        """End the trial of a run that failed."""
        self.leased.pop(runs.name(trial.config), None)
        self.store.fail(trial, cause)

    def renew(self) -> None:
        """Renew the leases of this command."""
        self.store.renew(list(self.leased.values()))

    def close(self) -> None:
        """Release the leases of this command, if the store can be written.

        (Else they end with this process.)
        """
        with contextlib.suppress(RunError):
            for trial in self.leased.values():
                self.store.release(trial)
        self.leased.clear()


def aim(metric: Metric) -> str:
    """What a trial's values are of. These words are in the journals of users."""
    return f"{metric.goal} {metric.name}"
