"""The next configuration, and when to stop one early.

A grid here; random draws; `bayes` by Optuna's Gaussian process, told the best value over a run's
history, as W&B is. Every draw follows from (search seed, number of the draw) and what is known
then, so that a restart goes on as if nothing had happened.
"""

import contextlib
import hashlib
import itertools
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from study import files, runs
from study.config import Config
from study.errors import RunError, UsageError
from study.sweep.spec import Sweep
from study.sweep.trials import ABANDONED, FAILED, JOURNAL, Record, Trial
from study.train import seeds

log = logging.getLogger(__name__)

STARTUP = 10  # random draws before the Gaussian process has something to go by
REDRAWS = 1000  # of what was drawn before, until the space counts as searched


def suggest(
    sweep: Sweep,
    known: Iterable[tuple[Mapping[str, Any], float]],
    in_flight: Iterable[Mapping[str, Any]],
    seed: int,
) -> dict[str, Any]:
    """What the Gaussian process tries next, as the search sees it.

    `known`: parameters and value of what was trained; `in_flight`: parameters of what trains now,
    which the acquisition function (q-batch log expected improvement) takes into account.
    Source: Optuna's GPSampler; Ament et al., 2023 (arXiv 2310.20708).
    """
    distributions = {p.name: p.searched for p in sweep.searched}
    direction = "maximize" if sweep.metric and sweep.metric.maximize else "minimize"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials(
        create_trial(params=dict(seen), distributions=distributions, value=value)
        for seen, value in known
    )
    study.add_trials(
        create_trial(params=dict(seen), distributions=distributions, state=TrialState.RUNNING)
        for seen in in_flight
    )
    return study.ask(distributions).params


class Search:
    """A sweep being worked through, here and by whoever shares its record.

    `found`: runs that were there at the start.

    Raises:
        UsageError: a database that cannot be used, or a damaged record.
        RunError: the database does not answer.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, seed: int = 0, storage: str | None = None
    ) -> None:
        self.sweep, self.out, self.seed = sweep, out, seed
        self.grid = sweep.method == "grid"
        maximize = bool(sweep.metric and sweep.metric.maximize)
        self.record = Record(storage or out / JOURNAL, self._name(), maximize)
        self.record.free()
        trials = self.record.trials()
        self.failed_before = {t.number for t in trials if t.user_attrs.get("why") == FAILED}
        self.mine: dict[str, Trial] = {}
        self.asked: set[str] = set()
        self.exhausted = False
        names = {t.user_attrs["run"] for t in trials if t.state == TrialState.COMPLETE}
        if self.grid:
            names = {runs.name(config) for config in sweep.configs}
        self.here = {name for name in names if runs.is_done(out / name)}
        # Of a search by a database alone, the folders of other machines are not seen here.
        self.done = names if self.record.shared and not self.grid else self.here.copy()
        self.gone = set() if self.grid else names - self.done
        self.found = len(self.done)

    def _is_gone(self, name: str) -> bool:
        """Whether a run that was trained has lost its folder, and nobody has trained it again."""
        return name in self.gone - self.asked and not runs.is_done(self.out / name)

    def _name(self) -> str:
        """Of the study: what changes the search begins another one; a longer one goes on."""
        sweep, key = self.sweep, {}
        if not self.grid:
            key = {"seed": self.seed}
        if not self.grid or sweep.hyperband:
            key |= {
                "parameters": {name: p.given for name, p in sweep.parameters.items()},
                "metric": repr(sweep.metric),
                "hyperband": repr(sweep.hyperband),
            }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]
        return f"{sweep.name} {sweep.method} {digest}"

    def ahead(self, limit: int | None) -> list[Config]:
        """What is left to train, at most `limit`: of a search, configurations such as these."""
        if self.grid:
            return [c for c in self.sweep.configs if runs.name(c) not in self.done][:limit]
        left = math.inf if self.sweep.run_cap is None else max(0, self.sweep.run_cap - self.found)
        count = min(left, math.inf if limit is None else limit)
        return list(itertools.islice(itertools.cycle(self.sweep.configs), count))

    def ended(self) -> str:
        """Why nothing more is drawn although a search has runs left; empty where it goes on."""
        if self.target_reached():
            return f"the target, {self.sweep.metric.name} {self.sweep.metric.target:g}, is reached"
        return "every configuration that can be drawn is there" if self.exhausted else ""

    def trained(self) -> list[Config]:
        """What was in this machine's folder at the start."""
        if self.grid:
            return [c for c in self.sweep.configs if runs.name(c) in self.here]
        trials = {t.user_attrs["run"]: t.user_attrs["config"] for t in self.record.trials()}
        return [Config(**config) for name, config in trials.items() if name in self.here]

    def elsewhere(self) -> int:
        """Configurations that other workers have trained since the start, or train now."""
        self.record.free()
        return len(self._taken() - self.done - self.asked)

    def left(self) -> int:
        """Configurations that nobody has asked for yet."""
        taken = self._taken() | self.done | self.asked
        if self.ended():
            return 0
        if self.grid:
            return len({runs.name(config) for config in self.sweep.configs} - taken)
        return max(0, (self.sweep.run_cap or 0) - len(taken))

    def _taken(self) -> set[str]:
        """Runs that somebody has in hand or has trained, by the record. (Of a grid beside its runs
        the folders say what was trained.)"""
        counted = {TrialState.RUNNING, TrialState.COMPLETE}
        if self.grid and not self.record.shared:
            counted = {TrialState.RUNNING}
        states = {t.user_attrs["run"]: t.state for t in self.record.trials() if t.state in counted}
        return {
            name
            for name, state in states.items()
            if state == TrialState.RUNNING or not self._is_gone(name)
        }

    def ask(self, wanted: Callable[[Config], bool] | None = None) -> Trial | None:
        """The next configuration; None where there is none now. Of a grid, whose order is no
        matter, one that is wanted; a search gives what it draws."""
        self.record.free()
        for _ in range(REDRAWS):
            drawn = self._next(wanted)
            if drawn is None:
                return None
            config, number, seen = drawn
            trial = self._take(config, number, seen)
            if trial:
                return trial
        return None

    def _take(self, config: Config, draw: int, seen: Mapping[str, Any]) -> Trial | None:
        distributions = {p.name: p.searched for p in self.sweep.searched if p.name in seen}
        name, most = runs.name(config), None if self.grid else self.sweep.run_cap
        again = name in self.gone or (self.grid and not self.record.shared)
        trial = self.record.take(name, config, draw, seen, distributions, most=most, again=again)
        if trial:
            self.mine[name] = trial
            self.asked.add(name)
        return trial

    def _next(
        self, wanted: Callable[[Config], bool] | None
    ) -> tuple[Config, int, Mapping[str, Any]] | None:
        trials = self.record.trials()
        if self.target_reached():
            return None
        if self.grid:
            return self._next_of_grid(wanted)
        latest = {t.user_attrs["run"]: t for t in trials}
        for name, trial in latest.items():
            if self._open(name, trial):
                config = Config(**trial.user_attrs["config"])
                return config, trial.user_attrs["draw"], trial.params
        if self.sweep.run_cap is not None and len(latest) >= self.sweep.run_cap:
            return None
        return self._draw(trials, set(latest))

    def _open(self, name: str, trial: FrozenTrial) -> bool:
        """Whether it is to be trained again: what a dead worker left, and once a command what had
        failed before it, or was trained and its folder is gone."""
        if trial.state == TrialState.COMPLETE:
            return self._is_gone(name)
        if trial.state != TrialState.FAIL:
            return False
        if trial.user_attrs.get("why") == ABANDONED:
            return name not in self.mine
        return trial.number in self.failed_before and name not in self.asked

    def _next_of_grid(
        self, wanted: Callable[[Config], bool] | None
    ) -> tuple[Config, int, Mapping[str, Any]] | None:
        busy = self._taken()
        for number, config in enumerate(self.sweep.configs):
            name = runs.name(config)
            if name in self.done | self.asked | busy or (wanted and not wanted(config)):
                continue
            if runs.is_done(self.out / name):  # by another command, since this one began
                self.done.add(name)
                continue
            return config, number, {}
        return None

    def _draw(
        self, trials: list[FrozenTrial], before: set[str]
    ) -> tuple[Config, int, Mapping[str, Any]] | None:
        """A new draw; where the Gaussian process repeats itself, a random one instead."""
        known, in_flight = self._known(trials)
        first = self.record.draws()
        guided = self.sweep.method == "bayes" and len(known) >= STARTUP
        for number in range(first, first + REDRAWS):
            if guided and number == first:
                seed = seeds.derive(self.seed, seeds.SEARCH, number) % 2**32
                seen = suggest(self.sweep, known, in_flight, seed)
            else:
                seen = self.sweep.draw(self.seed, number)
            try:
                config = self.sweep.config(seen)
            except UsageError as error:  # the far tail of a normal, say
                log.info("drawn again: %s", error)
                continue
            if runs.name(config) not in before:
                return config, number, seen
        self.exhausted = True
        return None

    def _known(
        self, trials: list[FrozenTrial]
    ) -> tuple[list[tuple[Mapping[str, Any], float]], list[Mapping[str, Any]]]:
        """Parameters and values of what was trained, and parameters of what is in flight, in the
        order of their draws. What failed counts as the worst seen, as with W&B."""
        values, failed, in_flight = {}, {}, {}
        for trial in trials:
            draw, why = trial.user_attrs["draw"], trial.user_attrs.get("why")
            if trial.state == TrialState.COMPLETE:
                values[draw] = trial.params, trial.value
            elif trial.state == TrialState.RUNNING:
                in_flight[draw] = trial.params
            elif why == FAILED:
                failed[draw] = trial.params
        if values:
            worst = min if self.sweep.metric and self.sweep.metric.maximize else max
            value = worst(value for _, value in values.values())
            fresh = failed.keys() - values.keys() - in_flight.keys()
            values |= {draw: (failed[draw], value) for draw in fresh}
        return [values[d] for d in sorted(values)], [in_flight[d] for d in sorted(in_flight)]

    def target_reached(self) -> bool:
        """Whether a run has reached the metric's target, at which a sweep ends."""
        metric = self.sweep.metric
        return metric is not None and any(
            metric.reached(t.value) for t in self.record.trials() if t.state == TrialState.COMPLETE
        )

    def report(self, trial: Trial, row: Mapping[str, float]) -> bool:
        """Note an epoch of a run; whether it is to stop there."""
        metric, rule = self.sweep.metric, self.sweep.hyperband
        if metric is None or metric.name not in row or (self.grid and not rule):
            return False
        self.record.report(trial, int(row["epoch"]), row[metric.name])
        if not rule or row["epoch"] >= trial.config.epochs:
            return False
        sign = -1 if metric.maximize else 1
        histories = {  # a run's latest trial has all its epochs, those before a resume too
            t.user_attrs["run"]: [v * sign for _, v in sorted(t.intermediate_values.items())]
            for t in self.record.trials()
        }
        return rule.stops(histories[runs.name(trial.config)], histories.values())

    def tell(self, trial: Trial, run: runs.Run) -> None:
        """A run has ended, finished or stopped early."""
        self.mine.pop(runs.name(trial.config), None)
        metric = self.sweep.metric
        value = metric.best(run.history) if metric else None
        self.record.tell(trial, 0.0 if value is None else value, run.state)
        self._write()

    def fail(self, trial: Trial, cause: str) -> None:
        """A run has failed."""
        self.mine.pop(runs.name(trial.config), None)
        self.record.fail(trial, cause)
        self._write()

    def renew(self) -> None:
        self.record.renew(list(self.mine.values()))

    def close(self) -> None:
        """Give back what is still in hand, as far as the record can still be written: a lease ends
        with its process."""
        with contextlib.suppress(RunError):
            for trial in self.mine.values():
                self.record.abandon(trial)
        self.mine.clear()

    def _write(self) -> None:
        """What the report needs to know of a search, beside its runs."""
        if self.grid:
            return
        metric = self.sweep.metric
        content = {
            "method": self.sweep.method,
            "metric": metric and metric.name,
            "goal": metric and ("maximize" if metric.maximize else "minimize"),
            "seed": self.seed,
            "runs": list(dict.fromkeys(t.user_attrs["run"] for t in self.record.trials())),
        }
        files.write_json(self.out / runs.SEARCH, content)
