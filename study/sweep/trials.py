"""Who trains which configuration: the record that the workers of a sweep share.

It is an Optuna study, in a journal file beside the runs or in a database, so that Optuna's own
tools read it too. Optuna has no lease for a journal; ours says whose a trial is and until when.
"""

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from study.config import Config
from study.errors import RunError, UsageError, first_line

LEASE = 90  # seconds a worker keeps a trial that it does not renew
RENEW = 20  # seconds between two renewals
STALE = 10  # seconds after which the journal's lock, held for milliseconds, is a killed worker's
RACES = 3  # seconds given to the worker that makes the tables of a new database
JOURNAL = "search.journal"

# Why a trial has no value (its user attribute `why`, then the cause).
FAILED, ABANDONED, TWICE = "failed", "abandoned", "twice"


def _telling(method: Callable) -> Callable:
    """A method of Record's during which the disk may fill up, or the database go away."""

    @functools.wraps(method)
    def guarded(record: "Record", *args: Any, **options: Any) -> Any:
        with _told(record.place):
            return method(record, *args, **options)

    return guarded


@dataclass(frozen=True)
class Trial:
    """A configuration in the record, in the hands of a worker. `number`: of the trial;
    `draw`: of the search's draw."""

    id: int
    number: int
    draw: int
    config: Config


class Record:
    """The trials of one search.

    Raises:
        UsageError: no such database, or no driver for it.
        RunError: the database does not answer.
    """

    def __init__(self, storage: Path | str, name: str, maximize: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.shared = not isinstance(storage, Path)  # the runs may be on other machines
        direction = "maximize" if maximize else "minimize"
        self.place = str(storage) if isinstance(storage, Path) else _without_password(storage)
        with _told(self.place):
            self.storage = _open(storage)
            study = optuna.create_study(
                storage=self.storage, study_name=name, direction=direction, load_if_exists=True
            )
        self.study = study._study_id
        self.owner = {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}

    def trials(self) -> list[FrozenTrial]:
        """All that count, each configuration's in the order of the trials: not what was given
        back because another worker had it first."""
        return [t for t in self._all() if t.user_attrs.get("why") != TWICE]

    def draws(self) -> int:
        """Draws made so far."""
        return max((t.user_attrs["draw"] + 1 for t in self._all()), default=0)

    def free(self) -> None:
        """Take what dead workers held out of their hands."""
        for trial in self._all():
            if trial.state == TrialState.RUNNING and not _alive(trial.user_attrs["lease"]):
                self._end(trial._trial_id, ABANDONED)

    @_telling
    def take(
        self,
        name: str,
        config: Config,
        draw: int,
        seen: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        *,
        most: int | None,
        again: bool,
    ) -> Trial | None:
        """Put a configuration into this worker's hands; None where another had it first, or
        `most` configurations are there. `again`: one that was trained may be trained again."""
        attributes = {
            "run": name, "config": config.non_defaults(), "draw": draw, "lease": self._lease(),
        }  # fmt: skip
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(seen),
            distributions=dict(distributions),
            user_attrs=attributes,
        )
        id = self.storage.create_new_trial(self.study, template)
        # Two workers can come this far with one configuration: the lower number has it.
        number = self.storage.get_trial(id).number
        earlier = [trial for trial in self.trials() if trial.number < number]
        names = list(dict.fromkeys(trial.user_attrs["run"] for trial in earlier))
        held = {TrialState.RUNNING} if again else {TrialState.RUNNING, TrialState.COMPLETE}
        taken = any(t.user_attrs["run"] == name and t.state in held for t in earlier)
        if taken or (most is not None and name not in names and len(names) >= most):
            self._end(id, TWICE)
            return None
        return Trial(id, number, draw, config)

    @_telling
    def renew(self, trials: list[Trial]) -> None:
        """Say that this worker is alive."""
        for trial in trials:
            with contextlib.suppress(UpdateFinishedTrialError):
                self.storage.set_trial_user_attr(trial.id, "lease", self._lease())

    @_telling
    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """Note the metric of an epoch."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_intermediate_value(trial.id, epoch, value)

    @_telling
    def tell(self, trial: Trial, value: float, state: str) -> None:
        """End a trial that was trained (or stopped early: `state`)."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(trial.id, "state", state)
            self.storage.set_trial_state_values(trial.id, TrialState.COMPLETE, [value])

    def fail(self, trial: Trial, cause: str) -> None:
        """End a trial that failed."""
        self._end(trial.id, FAILED, cause)

    def abandon(self, trial: Trial) -> None:
        """Give a trial back: another worker, or the next command, goes on with it."""
        self._end(trial.id, ABANDONED)

    @_telling
    def _all(self) -> list[FrozenTrial]:
        return self.storage.get_all_trials(self.study, deepcopy=False)

    @_telling
    def _end(self, id: int, why: str, cause: str = "") -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(id, "why", why)
            if cause:
                self.storage.set_trial_user_attr(id, "cause", cause)
            self.storage.set_trial_state_values(id, TrialState.FAIL)

    def _lease(self) -> dict[str, Any]:
        return {**self.owner, "until": time.time() + LEASE}


def _open(storage: Path | str) -> BaseStorage:
    if isinstance(storage, Path):
        storage.parent.mkdir(parents=True, exist_ok=True)
        # Optuna's default, a symbolic link, is never seen to be stale where the path is relative.
        lock = JournalFileOpenLock(str(storage), grace_period=STALE)
        return JournalStorage(JournalFileBackend(str(storage), lock_obj=lock))
    for _ in range(RACES):
        with contextlib.suppress(IntegrityError, ProgrammingError, OperationalError):
            return RDBStorage(storage)
        time.sleep(1)  # another worker is making the tables
    return RDBStorage(storage)


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    """What goes wrong with a record, in one line; `place`: its file, or its URL as it is shown."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{place}: is damaged ({first_line(error)}); move it away: trained runs are found again"
        ) from error
    except ImportError as error:
        raise UsageError(
            f"--storage {place}: {first_line(error)}; pip install its driver"
        ) from error
    except NoSuchModuleError as error:
        raise UsageError(
            f"--storage: no URL of a database ({first_line(error)});"
            " allowed is sqlite:///FILE, postgresql://USER@HOST/NAME or the like"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(f"--storage {place}: {first_line(error)}; is the database there?") from error
    except OSError as error:
        raise RunError(f"{place}: {error.strerror}; make room, or choose another --out") from error


def _without_password(storage: str) -> str:
    """The URL of a database as it may be shown.

    Raises:
        UsageError: it is none.
    """
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):  # whose words hold what it could not read
        url = None
    if url is None or "@" in (url.host or ""):
        raise UsageError(
            "--storage: no URL of a database; allowed is sqlite:///FILE,"
            " postgresql://USER@HOST/NAME or the like (an @, : or / in a password is %40, %3A, %2F)"
        )
    return url.set(query={}).render_as_string(hide_password=True)


def _alive(lease: Mapping[str, Any]) -> bool:
    """Whether a trial's worker lives: on this machine by its process, elsewhere by its lease
    (clocks of machines that share a record must agree within seconds)."""
    if lease["machine"] and lease["machine"] == _machine():
        return _started(lease["pid"]) == lease["started"]
    return time.time() < lease["until"]


def _machine() -> str:
    """This machine since its start, this container; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
