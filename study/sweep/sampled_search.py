"""A random or Bayesian search in progress. Its trial store says what is done.

A random search samples, and `bayes` is Optuna's Gaussian process, which gets the best value over a
run's history, as W&B's does. Every sample follows from (search seed, its number) and what is known
by then, so that a restart goes on as if nothing had happened.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from study import runs, search_record
from study.config import Config
from study.errors import UsageError
from study.search_record import SearchRecord
from study.sweep import bayes
from study.sweep.search import Search, Suggestion
from study.sweep.sweep import Sweep
from study.sweep.trials import FAILED, RELEASED, Trial
from study.train import seeds

log = logging.getLogger(__name__)

RESAMPLES = 1000  # of configurations known before, until the space counts as searched


class SampledSearch(Search):
    """See Search.

    lost: trained runs whose folder is gone, which are trained again; failed_before: the trials
    that had failed before this command; exhausted: there is no other configuration.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, seed: int = 0, storage: Path | str | None = None
    ) -> None:
        super().__init__(sweep, out, seed=seed, storage=storage)
        trained = self._names()
        if self.store.is_database:  # folders on other machines are not visible here
            self._start_with(trained)
        self.lost = trained - self.done
        trials = self.store.trials()
        self.failed_before = {t.number for t in trials if t.user_attrs.get("why") == FAILED}
        self.exhausted = False

    def study_name(self) -> str:
        return self._study_name({"seed": self.seed} | self._space())

    def pending(self, limit: int | None) -> list[Config]:
        cap = self.sweep.run_cap
        counts = [limit, None if cap is None else max(0, cap - self.existing)]
        count = min((n for n in counts if n is not None), default=0)  # see Sweep.check_end
        return list(itertools.islice(itertools.cycle(self.sweep.samples), count))

    def count_epochs(self, limit: int) -> int:  # nobody knows which run it will resume
        return sum(config.epochs for config in self.pending(limit))

    def configs_done_here(self) -> list[Config]:
        trials = {t.user_attrs["run"]: t.user_attrs["config"] for t in self.store.trials()}
        return [Config(**config) for name, config in trials.items() if name in self.done_here]

    def end_reason(self) -> str:
        everything = "every configuration that can be sampled is there" if self.exhausted else ""
        return super().end_reason() or everything

    def complete(self, trial: Trial, run: runs.Run) -> None:
        super().complete(trial, run)
        self._write()

    def fail(self, trial: Trial, cause: str) -> None:
        super().fail(trial, cause)
        self._write()

    def _names(self) -> set[str]:
        return {t.user_attrs["run"] for t in self.store.trials() if t.state == TrialState.COMPLETE}

    def _has(self, name: str, config: Config) -> bool:
        return True  # another space is another study

    def _taken(self) -> set[str]:
        counted = {TrialState.RUNNING, TrialState.COMPLETE}
        trials = self.store.trials()
        states = {t.user_attrs["run"]: t.state for t in trials if t.state in counted}
        return {
            name
            for name, state in states.items()
            if state == TrialState.RUNNING or not self._is_lost(name)
        }

    def _is_lost(self, name: str) -> bool:
        """Whether a trained run has lost its folder, and nobody has trained it again."""
        return name in self.lost - self.asked and not runs.is_done(self.out / name)

    def _count_untaken(self) -> int:
        return max(0, (self.sweep.run_cap or 0) - len(self._taken() | self.done | self.asked))

    def _limits(self, name: str) -> dict[str, Any]:
        return {"limit": self.sweep.run_cap, "repeat": name in self.lost}

    # The next configuration.

    def _suggestions(
        self, count: int, accept: Callable[[Config], bool] | None
    ) -> Iterator[Suggestion]:
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
        self._write()
        return None

    def _write(self) -> None:
        """Write what a report needs to know of the search, beside its runs."""
        metric = self.sweep.metric
        record = SearchRecord(
            method=self.sweep.method,
            metric=metric.name if metric else None,
            goal=metric.goal if metric else None,
            seed=self.seed,
            exhausted=self.exhausted,
            runs=tuple(dict.fromkeys(t.user_attrs["run"] for t in self.store.trials())),
        )
        search_record.write(self.out, record)
