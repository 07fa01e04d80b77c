"""A grid in progress: every configuration once, in the file's order. Folders say what is done."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from study import runs
from study.config import Config
from study.sweep.search import Search, Suggestion, aim
from study.sweep.sweep import Sweep
from study.sweep.trials import Trial


class GridSearch(Search):
    """See Search. The trials are those of all grids, and of all metrics, that the file has had, so
    that only those of the grid as it stands now count.

    planned: by the name of a run, whether it is in the grid.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, seed: int = 0, storage: Path | str | None = None
    ) -> None:
        self.planned: dict[str, bool] = {}
        super().__init__(sweep, out, seed=seed, storage=storage)

    def study_name(self) -> str:
        return self._study_name(self._space() if self.sweep.hyperband else {})

    def pending(self, limit: int | None) -> list[Config]:
        left = (config for config in self.sweep.grid if runs.name(config) not in self.done)
        return list(itertools.islice(left, limit))

    def count_epochs(self, limit: int) -> int:
        configs = self.pending(limit)
        done = sum(runs.count_epochs(self.out / runs.name(config)) for config in configs)
        return sum(config.epochs for config in configs) - done

    def configs_done_here(self) -> list[Config]:
        return [runs.read_config(self.out / name) for name in sorted(self.done_here)]

    def report(self, trial: Trial, row: Mapping[str, float]) -> None:
        metric = self.sweep.metric
        if self.sweep.hyperband or (metric and metric.target is not None):  # else nobody asks
            super().report(trial, row)

    def _names(self) -> set[str]:  # of many configurations few have folders
        return {path.parent.name for path in self.out.glob(f"*/{runs.CONFIG}")}

    def _has(self, name: str, config: Config) -> bool:
        return runs.name(config) == name and config in self.sweep.grid

    def _reaches_target(self, trial: FrozenTrial) -> bool:
        known = trial.user_attrs
        return (
            super()._reaches_target(trial)
            and self.sweep.metric is not None
            and known.get("aim") == aim(self.sweep.metric)
            and self._is_planned(**known)
            and (
                trial.state == TrialState.RUNNING
                or self.store.is_database
                or runs.is_done(self.out / known["run"])
            )
        )

    def _taken(self) -> set[str]:
        # In a journal a complete trial says nothing: the folder beside it does.
        states = {TrialState.RUNNING}
        if self.store.is_database:
            states.add(TrialState.COMPLETE)
        trials = [t.user_attrs for t in self.store.trials() if t.state in states]
        return {known["run"] for known in trials if self._is_planned(**known)}

    def _is_planned(self, run: str, config: Mapping[str, Any], **_: Any) -> bool:
        """Whether a trial's run is in the grid, looked up once a run: it never changes."""
        if run not in self.planned:
            self.planned[run] = self._has(run, Config(**config))
        return self.planned[run]

    def _count_untaken(self) -> int:
        return len(self.sweep.grid) - len(self._taken() | self.done | self.asked)

    def _suggestions(
        self, count: int, accept: Callable[[Config], bool] | None
    ) -> Iterator[Suggestion]:
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

    def _limits(self, name: str) -> dict[str, Any]:
        return {"limit": None, "repeat": not self.store.is_database}
