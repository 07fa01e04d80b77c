"""The trials of a search, in a store that its workers share.

The store is an Optuna study, in a journal file beside the runs or in a database, so that Optuna's
own tools read it too. A worker leases the trial it trains: the lease says whose it is, and until
when. (Optuna has leases for databases alone.)
"""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.config import Config
from study.sweep import leases, storages

JOURNAL = "search.journal"

# Why a trial has no value (its user attribute `why`). These words are in the journals of users.
FAILED, RELEASED, DUPLICATE = "failed", "abandoned", "twice"


def _guard(method: Callable) -> Callable:
    """Guard a method of TrialStore: the disk may fill up, or the database go away, at any time."""

    @functools.wraps(method)
    def guarded(store: "TrialStore", *args: Any, **options: Any) -> Any:
        with storages.one_line(store.location):
            return method(store, *args, **options)

    return guarded


@dataclass(frozen=True)
class Trial:
    """A trial that this worker leases.

    id, number: Optuna's; sample: the number of the search's sample; config: what is trained.
    """

    id: int
    number: int
    sample: int
    config: Config


def direction(maximize: bool) -> StudyDirection:
    """Return the direction of an Optuna study."""
    return StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE


class TrialStore:
    """The trials of one search.

    Raises:
        UsageError: no such database, or no driver for it.
        RunError: the database does not answer.
    """

    def __init__(self, storage: Path | str, name: str, maximize: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.is_database = not isinstance(storage, Path)  # then the runs may be on other machines
        self.location = storages.shown(storage)
        with storages.one_line(self.location):
            self.storage = storages.connect(storage)
            optuna.create_study(
                storage=self.storage,
                study_name=name,
                direction=direction(maximize),
                load_if_exists=True,
            )
            self.study_id = self.storage.get_study_id_from_name(name)
        self.owner = leases.owner()
        self.numbers: dict[str, list[int]] = {}  # of the trials of each run
        self.seen = 0  # how many trials `numbers` knows

    def trials(self) -> list[FrozenTrial]:
        """Return the trials in their order, without duplicates that another worker had first."""
        return [t for t in self._all() if t.user_attrs.get("why") != DUPLICATE]

    def count_samples(self) -> int:
        """Count the samples of the search so far."""
        return max((t.user_attrs["draw"] + 1 for t in self._all()), default=0)

    def release_expired(self) -> None:
        """Release the trials that dead workers lease."""
        for trial in self._all():
            if trial.state == TrialState.RUNNING and not self._is_alive(trial.user_attrs["lease"]):
                self._end(self._id(trial), RELEASED)

    def _is_alive(self, lease: Mapping[str, Any]) -> bool:
        return self.owner.items() <= lease.items() or leases.is_alive(lease)

    @_guard
    def lease(
        self,
        name: str,
        config: Config,
        sample: int,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        *,
        aim: str = "",
        limit: int | None,
        repeat: bool,
    ) -> Trial | None:
        """Lease a configuration to this worker. aim: what its values are of.

        None where another worker leases it, has trained it (unless `repeat`), or where there are
        `limit` configurations already.
        """
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={
                "run": name,
                "config": config.non_defaults(),
                "draw": sample,
                "lease": leases.begin(self.owner),
                "aim": aim,
            },
        )
        id = self.storage.create_new_trial(self.study_id, template)
        # Two workers may have created the same trial at once: the lower number has it.
        number = self.storage.get_trial(id).number
        blocking = {TrialState.RUNNING} if repeat else {TrialState.RUNNING, TrialState.COMPLETE}
        earlier = self._earlier(name, number)
        if any(trial.state in blocking for trial in earlier) or (
            limit is not None and not earlier and self._count_runs_before(number) >= limit
        ):
            self._end(id, DUPLICATE)
            return None
        return Trial(id, number, sample, config)

    def _earlier(self, name: str, number: int) -> list[FrozenTrial]:
        """Return the trials of a run before this number, without duplicates. (Looking through all
        trials at each lease would take the square of their number.)"""
        trials = self._all()
        for trial in trials[self.seen :]:
            self.numbers.setdefault(trial.user_attrs["run"], []).append(trial.number)
        self.seen = len(trials)
        found = [trials[other] for other in self.numbers.get(name, []) if other < number]
        return [trial for trial in found if trial.user_attrs.get("why") != DUPLICATE]

    def _count_runs_before(self, number: int) -> int:
        """Count the configurations that have a trial before this number."""
        return len({t.user_attrs["run"] for t in self.trials() if t.number < number})

    @_guard
    def renew(self, trials: list[Trial]) -> None:
        """Renew this worker's leases."""
        for trial in trials:
            with contextlib.suppress(UpdateFinishedTrialError):
                self.storage.set_trial_user_attr(trial.id, "lease", leases.begin(self.owner))

    @_guard
    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """Store the metric of an epoch."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_intermediate_value(trial.id, epoch, value)

    @_guard
    def complete(self, trial: Trial, value: float, state: str, aim: str = "") -> None:
        """End a trial whose run finished or stopped early (`state`). aim: of its value, the
        metric's (see Metric); empty where the value stands for none."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(trial.id, "state", state)
            self.storage.set_trial_user_attr(trial.id, "aim", aim)
            self.storage.set_trial_state_values(trial.id, TrialState.COMPLETE, [value])

    def fail(self, trial: Trial, cause: str) -> None:
        """End a trial whose run failed."""
        self._end(trial.id, FAILED, cause)

    def release(self, trial: Trial) -> None:
        """End a lease: another worker, or the next command, resumes the run."""
        self._end(trial.id, RELEASED)

    @_guard
    def _all(self) -> list[FrozenTrial]:
        return self.storage.get_all_trials(self.study_id, deepcopy=False)

    @_guard
    def _id(self, trial: FrozenTrial) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, trial.number)

    @_guard
    def _end(self, id: int, why: str, cause: str = "") -> None:
        """End a trial without a value."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(id, "why", why)
            if cause:
                self.storage.set_trial_user_attr(id, "cause", cause)
            self.storage.set_trial_state_values(id, TrialState.FAIL)
