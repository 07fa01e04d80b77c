"""Choose the next configuration, and decide when a run stops early.

A grid is worked through in its order, a random search samples, and `bayes` is Optuna's Gaussian
process, which gets the best value over a run's history, as W&B's does. Every sample follows from
(search seed, its number) and what is known by then, so that a restart goes on as if nothing had
happened.
"""

import contextlib
import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from study import files, runs
from study.config import Config
from study.errors import RunError, UsageError
from study.planned import Metric
from study.sweep import bayes
from study.sweep.bayes import Params
from study.sweep.spec import Sweep
from study.sweep.trials import FAILED, JOURNAL, RELEASED, Trial, TrialStore
from study.train import seeds

log = logging.getLogger(__name__)

RESAMPLES = 1000  # of configurations known before, until the space counts as searched


class Suggestion(NamedTuple):
    """A configuration to train: the number of its sample, and the internal values behind it."""

    config: Config
    sample: int
    params: Params


class Search:
    """A sweep in progress, here and in the other commands that share its trial store.

    Raises:
        UsageError: a database that cannot be used, or a damaged journal.
        RunError: the database does not answer.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, seed: int = 0, storage: Path | str | None = None
    ) -> None:
        self.sweep, self.out, self.seed = sweep, out, seed
        self.is_grid = sweep.method == "grid"
        self.store = TrialStore(storage or out / JOURNAL, self.study_name(), sweep.maximizes)
        self.store.release_expired()
        trials = self.store.trials()
        self.leased: dict[str, Trial] = {}  # to this command, by the run's name
        self.asked: set[str] = set()  # names of runs that this command has asked for
        self.exhausted = False
        self.failed_before = {t.number for t in trials if t.user_attrs.get("why") == FAILED}
        names = {t.user_attrs["run"] for t in trials if t.state == TrialState.COMPLETE}
        if self.is_grid:  # of many configurations few have folders
            names = {path.parent.name for path in out.glob(f"*/{runs.CONFIG}")}
        self.done_here, self.reached_here = self._find_done(names)
        # Of a search in a database, folders on other machines are not visible here.
        trusts_store = self.store.is_database and not self.is_grid
        self.done = names if trusts_store else self.done_here.copy()
        self.lost = set() if self.is_grid else names - self.done
        self.done_before = frozenset(self.done)

    @property
    def existing(self) -> int:
        """How many runs had been trained at the start."""
        return len(self.done_before)

    def _find_done(self, names: Iterable[str]) -> tuple[set[str], bool]:
        """Return the runs that this machine's folder has trained, of a grid those that are still in
        it; and whether one of them has reached the metric's target."""
        metric, done, reached = self.sweep.metric, set(), False
        for name in names:
            run = runs.read_done(self.out / name)
            if run is None or (self.is_grid and not self._is_in_grid(name, run.config)):
                continue
            done.add(name)
            reached |= metric is not None and metric.is_reached(metric.best(run.history))
        return done, reached

    def _is_in_grid(self, name: str, config: Config) -> bool:
        return runs.name(config) == name and config in self.sweep.grid

    def study_name(self) -> str:
        """Return the name of Optuna's study: what changes the search begins another study.

        A larger run_cap goes on with the same one. The name is in the journals of users, so the
        text of parameters, metric and hyperband must stay as it is.
        """
        sweep = self.sweep
        key: dict[str, Any] = {} if self.is_grid else {"seed": self.seed}
        if not self.is_grid or sweep.hyperband:
            key |= {
                "parameters": {name: p.definition for name, p in sweep.parameters.items()},
                "metric": repr(sweep.metric),
                "hyperband": repr(sweep.hyperband),
            }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]
        return f"{sweep.name} {sweep.method} {digest}"

    # What there is to do.

    def pending(self, limit: int | None) -> list[Config]:
        """Return what is left to train, at most `limit`; of a search, configurations like those."""
        if self.is_grid:
            left = (c for c in self.sweep.grid if runs.name(c) not in self.done)
            return list(itertools.islice(left, limit))
        cap = self.sweep.run_cap
        counts = [limit, None if cap is None else max(0, cap - self.existing)]
        count = min((n for n in counts if n is not None), default=0)  # see Sweep.check_end
        return list(itertools.islice(itertools.cycle(self.sweep.samples), count))

    def configs_done_here(self) -> list[Config]:
        """Return the configurations that this machine's folder had at the start."""
        if self.is_grid:
            return [runs.read_config(self.out / name) for name in sorted(self.done_here)]
        trials = {t.user_attrs["run"]: t.user_attrs["config"] for t in self.store.trials()}
        return [Config(**config) for name, config in trials.items() if name in self.done_here]

    def end_reason(self) -> str:
        """Return why the search ended before its last run; empty where it did not."""
        if self.is_target_reached() and self.sweep.metric:
            return f"the target, {self.sweep.metric.name} {self.sweep.metric.target:g}, is reached"
        return "every configuration that can be sampled is there" if self.exhausted else ""

    def is_target_reached(self) -> bool:
        """Whether a run has reached the metric's target, which ends a sweep."""
        return self.reached_here or any(map(self._reaches_target, self.store.trials()))

    def _reaches_target(self, trial: FrozenTrial) -> bool:
        """Whether a trial's run has reached the target. Of a grid, whose trials are those of all
        grids and metrics that the file has had, only runs of this one count, by this metric."""
        metric, known = self.sweep.metric, trial.user_attrs
        if not metric or trial.state != TrialState.COMPLETE or not metric.is_reached(trial.value):
            return False
        return not self.is_grid or (
            known.get("aim") == _aim(metric)
            and self._is_in_grid(known["run"], Config(**known["config"]))
            and (self.store.is_database or runs.is_done(self.out / known["run"]))
        )

    def count_by_other_workers(self) -> int:
        """Count the configurations that other workers train, or trained since the start."""
        self.store.release_expired()
        return len((self._taken() | self.done) - self.done_before - self.asked)

    def count_remaining(self) -> int:
        """Count the configurations that no worker has asked for yet."""
        taken = self._taken() | self.done | self.asked
        if self.end_reason():
            return 0
        if self.is_grid:
            return len(self.sweep.grid) - len(taken)
        return max(0, (self.sweep.run_cap or 0) - len(taken))

    def _taken(self) -> set[str]:
        """Return the runs that a worker trains or has trained, by the store.

        Of a grid in a journal the folders beside it say what was trained.
        """
        counted = {TrialState.RUNNING, TrialState.COMPLETE}
        if self.is_grid and not self.store.is_database:
            counted = {TrialState.RUNNING}
        states = {
            t.user_attrs["run"]: t.state
            for t in self.store.trials()
            if t.state in counted
            # the trials of a grid are those of all grids that the file has had
            and (not self.is_grid or Config(**t.user_attrs["config"]) in self.sweep.grid)
        }
        return {
            name
            for name, state in states.items()
            if state == TrialState.RUNNING or not self._is_lost(name)
        }

    def _is_lost(self, name: str) -> bool:
        """Whether a trained run has lost its folder, and nobody has trained it again."""
        return name in self.lost - self.asked and not runs.is_done(self.out / name)

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
        suggestions = self._of_grid(accept) if self.is_grid else self._of_search(count)
        leases = (self._lease(suggestion) for suggestion in suggestions)
        return list(itertools.islice((trial for trial in leases if trial), count))

    def _lease(self, suggestion: Suggestion) -> Trial | None:
        config, sample, params = suggestion
        name = runs.name(config)
        trial = self.store.lease(
            name,
            config,
            sample,
            params,
            {p.name: p.distribution for p in self.sweep.varying if p.name in params},
            limit=None if self.is_grid else self.sweep.run_cap,
            repeat=name in self.lost or (self.is_grid and not self.store.is_database),
        )
        if trial:
            self.leased[name] = trial
            self.asked.add(name)
        return trial

    def _of_search(self, count: int) -> Iterator[Suggestion]:
        """Yield what a search suggests, each after the one before was leased, or was not."""
        for _ in range(RESAMPLES + count):
            suggestion = self._suggest()
            if suggestion is None:
                return
            yield suggestion

    def _suggest(self) -> Suggestion | None:
        """Choose a configuration: one to train again, else a new one."""
        trials = self.store.trials()
        if self.is_target_reached():
            return None
        latest = {t.user_attrs["run"]: t for t in trials}
        for name, trial in latest.items():
            if self._is_repeated(name, trial):
                config = Config(**trial.user_attrs["config"])
                return Suggestion(config, trial.user_attrs["draw"], trial.params)
        if self.sweep.run_cap is not None and len(latest) >= self.sweep.run_cap:
            return None
        return self._suggest_new(trials, set(latest))

    def _is_repeated(self, name: str, trial: FrozenTrial) -> bool:
        """Whether a run is trained again.

        It is if a dead worker left it. Once a command, it is also if it had failed before this
        command, or has lost its folder.
        """
        if trial.state == TrialState.COMPLETE:
            return self._is_lost(name)
        if trial.state != TrialState.FAIL:
            return False
        if trial.user_attrs.get("why") == RELEASED:
            return name not in self.leased
        return trial.number in self.failed_before and name not in self.asked

    def _of_grid(self, accept: Callable[[Config], bool] | None) -> Iterator[Suggestion]:
        """Yield the configurations of a grid that nobody has taken, in their order."""
        if self.is_target_reached():
            return
        taken = self._taken() | self.done | self.asked
        for number, config in enumerate(self.sweep.grid):
            name = runs.name(config)
            if name in taken or (accept and not accept(config)):
                continue
            if runs.is_done(self.out / name):  # by another command, since this one began
                self.done.add(name)
                continue
            yield Suggestion(config, number, {})

    def _suggest_new(self, trials: list[FrozenTrial], known: set[str]) -> Suggestion | None:
        """Suggest a new configuration, at random where the Gaussian process repeats itself.

        known: the names of the runs that the search has suggested before.
        """
        observations, in_flight = bayes.observe(trials, self.sweep.maximizes)
        first = self.store.count_samples()
        guided = self.sweep.method == "bayes" and len(observations) >= bayes.STARTUP
        for number in range(first, first + RESAMPLES):
            if guided and number == first:
                seed = seeds.derive(self.seed, seeds.SEARCH, number) % 2**32
                params = bayes.suggest(self.sweep, observations, in_flight, seed)
            else:
                params = self.sweep.sample(self.seed, number)
            try:
                config = self.sweep.config(params)
            except UsageError as error:  # the far tail of a normal, say
                log.info("sampled again: %s", error)
                continue
            if runs.name(config) not in known:
                return Suggestion(config, number, params)
        self.exhausted = True
        self._write_search()
        return None

    # What became of it.

    def report(self, trial: Trial, row: Mapping[str, float]) -> bool:
        """Store an epoch of a run, and return whether the run stops there."""
        metric, hyperband = self.sweep.metric, self.sweep.hyperband
        if metric is None or metric.name not in row or (self.is_grid and not hyperband):
            return False
        self.store.report(trial, int(row["epoch"]), row[metric.name])
        if not hyperband or row["epoch"] >= trial.config.epochs:
            return False
        sign = -1 if metric.maximize else 1
        histories = {  # a run's latest trial has all its epochs, also those before a resume
            t.user_attrs["run"]: [v * sign for _, v in sorted(t.intermediate_values.items())]
            for t in self.store.trials()
        }
        return hyperband.stops(histories[runs.name(trial.config)], histories.values())

    def complete(self, trial: Trial, run: runs.Run) -> None:
        """End the trial of a run that finished or stopped early."""
        self.leased.pop(runs.name(trial.config), None)
        metric = self.sweep.metric
        value = metric.best(run.history) if metric else None
        if metric is None or value is None:
            self.store.complete(trial, 0.0, run.state)
        else:
            self.store.complete(trial, value, run.state, _aim(metric))
        self._write_search()

    def fail(self, trial: Trial, cause: str) -> None:
        """End the trial of a run that failed."""
        self.leased.pop(runs.name(trial.config), None)
        self.store.fail(trial, cause)
        self._write_search()

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

    def _write_search(self) -> None:
        """Write what a report needs to know of a search, beside its runs. exhausted: there is no
        other configuration."""
        if self.is_grid:
            return
        metric = self.sweep.metric
        content = {
            "method": self.sweep.method,
            "metric": metric and metric.name,
            "goal": metric and metric.goal,
            "seed": self.seed,
            "exhausted": self.exhausted,
            "runs": list(dict.fromkeys(t.user_attrs["run"] for t in self.store.trials())),
        }
        files.write_json(self.out / runs.SEARCH, content)


def _aim(metric: Metric) -> str:
    """What a trial's value is of. These words are in the journals of users."""
    return f"{metric.goal} {metric.name}"
