"""Complete at W&B what run folders hold and the server lacks: `study sync runs/NAME`.

A run that was killed is continued from its last whole epoch, one that is trained is uploaded. Both
finish the W&B run that they have, whichever command began it.
"""

import contextlib
import dataclasses
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study import files, locks, runs, sweep_folder
from study.errors import DamagedError, RunError, UsageError, describe
from study.runs import Run
from study.tracking import client, heartbeats, logger, marks, packs, service, stored
from study.tracking.assigned import PREEMPTED, AssignedRun
from study.tracking.heartbeats import Signs
from study.tracking.signals import Preempted, Signals
from study.train import devices, packing

AT_ONCE = 16  # runs that are open at once, unless more are trained as one pack
BUSY = "another process is training this run; wait for it"
NOT_OURS = "it is not trained: `study sweep FILE --online` goes on with it"
DAMAGED = "damaged"  # the state of a run whose folder is; its training sets that aside
TO_TRAIN = (runs.RUNNING, DAMAGED)  # the states of runs that are trained on


@dataclass
class Outcome:
    """What `study sync` did.

    complete: runs of which the server had all; uploaded, continued: runs that it has whole now, the
    continued ones trained further; left: run -> why it is not whole there; skipped: run -> who else
    is at work on it, or goes on with it; signal: what ended the command, or None.
    """

    complete: int = 0
    uploaded: int = 0
    continued: int = 0
    left: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    signal: int | None = None


def sync(
    paths: Sequence[Path], device: str | None = None, threads: int = 1, failed: bool = False
) -> Outcome:
    """Complete the W&B runs of run folders, or of all runs in folders of sweeps; of those that
    failed only their end, unless `failed`, which trains them on.

    Runs that W&B has heard from a moment ago are completed last: by then a process that lives has
    locked theirs, or W&B has heard from it again, and the others' were killed.

    Raises:
        UsageError: no such folder or device, or no API key.
        RunError: no server answers.
    """
    chosen = str(devices.pick(device))
    outcome = Outcome()
    found = _read(paths, outcome, failed)
    client.check_server()
    client.forget_assigned_run()
    signals = Signals()
    awaited: dict[Path, Signs] = {}

    def complete(found: Iterable[Run]) -> None:
        incomplete = _find_incomplete(found, outcome, awaited)
        _Sync(incomplete, outcome, signals, chosen, threads).run()

    with client.environment(WANDB_SILENT="true"):
        try:
            complete(found)
            if awaited:
                heartbeats.wait(awaited, signals)
                for path in awaited:
                    del outcome.skipped[str(path)]
                complete(_read([*awaited], outcome, failed))
        except Preempted:
            outcome.signal = signals.received
    return outcome


def _read(paths: Sequence[Path], outcome: Outcome, failed: bool) -> list[Run]:
    """Read the runs of these folders; those that cannot be read are left. failed: whether one that
    failed is as one that was cut off."""
    found: dict[Path, Run] = {}
    for path in paths:
        if (path / runs.CONFIG).is_file():
            try:
                found[path] = _read_run(path)
            except UsageError as error:
                outcome.left[str(path)] = str(error)
            continue
        readable, unread = sweep_folder.find_readable(path, _read_run)
        found |= {run.path: run for run in readable}
        outcome.left |= {str(path / name): why for name, why in unread.items()}
    return [
        dataclasses.replace(run, summary={}) if failed and run.state == runs.FAILED else run
        for run in found.values()
    ]


def _read_run(path: Path) -> Run:
    """Read a run; an agent's that is damaged as one without an epoch, whose training goes on from
    its checkpoint.

    Raises:
        UsageError: as runs.read, where no sweep at W&B has assigned it, or its configuration is
            damaged too.
    """
    try:
        return runs.read(path)
    except DamagedError:
        if not all(marks.opened(path)):
            raise
        return Run(path, runs.read_config(path), [], {"state": DAMAGED})


def _find_incomplete(
    found: Iterable[Run], outcome: Outcome, awaited: dict[Path, Signs]
) -> list[Run]:
    """Return the runs that the server does not have whole, and can be given from here. awaited:
    see heartbeats.why_alive."""
    projects: defaultdict[str, list[Run]] = defaultdict(list)
    for run in found:
        projects[marks.address(run).rpartition("/")[0]].append(run)
    for run in projects.pop("", []):
        outcome.left[str(run.path)] = _why_nameless(run)
    incomplete = []
    for project, members in projects.items():
        listed = client.find_runs(
            project, [marks.wandb_id(run) for run in members], ": run the command again"
        )
        for run in members:
            on_server = listed.get(marks.wandb_id(run))
            if _is_complete(run, on_server):
                outcome.complete += 1
            elif why := _why_left(run, on_server):
                outcome.left[str(run.path)] = why
            elif why := _why_skipped(run, on_server, awaited):
                outcome.skipped[str(run.path)] = why
            else:
                incomplete.append(run)
    return incomplete


def _why_nameless(run: Run) -> str:
    """Return why the W&B run of a run's folder is not known, and the remedy."""
    try:
        marks.opened(run.path)
    except UsageError as error:  # its damaged mark named it
        return f"{error}, and `study sweep FILE --online` logs it"
    return "it names no W&B run: `study sweep FILE --online` logs it"


def _is_complete(run: Run, on_server: Any) -> bool:
    """Whether the server has all of a run."""
    if run.state == runs.FAILED:
        return on_server is not None and on_server.state == "failed"
    if run.state == runs.RUNNING:  # it ended on another machine
        return on_server is not None and on_server.state == "finished"
    return run.done and not stored.describe_missing(on_server, run)


def _why_left(run: Run, on_server: Any) -> str:
    """Return why a run is not to be completed from its folder, or ""."""
    try:
        path, _ = marks.opened(run.path)
    except UsageError as error:
        return str(error)
    if path and on_server is None:
        return "the server has it no longer"
    return NOT_OURS if run.state in TO_TRAIN and not path else ""


def _why_skipped(run: Run, on_server: Any, awaited: dict[Path, Signs]) -> str:
    """Return who else completes a run, or ""."""
    if run.state not in TO_TRAIN:
        return ""
    path, sweep = marks.opened(run.path)
    project = path.rpartition("/")[0]
    if on_server.state in ("preempting", "preempted") and client.is_open(f"{project}/{sweep}"):
        return "it was handed back: the sweep's next agent goes on with it"
    if why := _why_busy(run):
        return why
    return heartbeats.why_alive(run, on_server, awaited) if on_server.state == "running" else ""


def _why_busy(run: Run) -> str:
    """Return who else is at work in a run's folder, or ""."""
    return BUSY if locks.is_in_use(run.path) else ""


class _Sync:
    """Runs on their way to the server: those that have ended, then those that are trained on.

    opened: when each of the latter was last opened at W&B, as this command found it.
    """

    def __init__(
        self, found: Sequence[Run], outcome: Outcome, signals: Signals, device: str, threads: int
    ) -> None:
        self.outcome, self.signals = outcome, signals
        self.options: dict[str, Any] = {"device": device, "threads": threads}
        self.ended = [run for run in found if run.state not in TO_TRAIN]
        self.cut_off = [run for run in found if run.state in TO_TRAIN]
        self.opened = {run.path: marks.time_opened(run.path) for run in self.cut_off}

    def run(self) -> None:
        """Complete all runs.

        Raises:
            Preempted: this process is to end.
        """
        for group in _split(self.ended, AT_ONCE):
            with self._open(group) as opened:
                self._end(opened, [packs.read_result(run) for run in opened])
        for group in self._group(self.cut_off):
            with self._open(group) as opened:
                if opened:  # not all were taken by others
                    self._end(opened, packs.train(opened, self.signals.check, **self.options))

    def _group(self, cut_off: Iterable[Run]) -> Iterator[Sequence[Run]]:
        """Group runs by what this device trains at once."""
        for bucket in packs.group_by_bucket(cut_off):
            size = packing.default_size(bucket[0].config, self.options["device"])
            yield from _split(bucket, size)

    @contextlib.contextmanager
    def _open(self, group: Sequence[Run]) -> Iterator[list[AssignedRun]]:
        """Open runs again; where the process is to end meanwhile, close them as they are."""
        self.signals.check()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            opened = [run for run in pool.map(self._reopen, group) if run]
        try:
            yield opened
        except BaseException:
            for run in opened:
                _close(run.wandb_run)
            raise

    def _reopen(self, run: Run) -> AssignedRun | None:
        """Open a run again, or note why it is left, or that another process has it by now."""
        if why := self._why_taken(run):
            self.outcome.skipped[str(run.path)] = why
            return None
        try:
            return self._open_again(run)
        except (UsageError, RunError) as error:
            self.outcome.left[str(run.path)] = str(error)
        except Exception as error:  # wandb's errors share no base class
            self.outcome.left[str(run.path)] = describe(error)
        return None

    def _open_again(self, run: Run) -> AssignedRun:
        """Open a run again.

        Raises:
            UsageError, RunError: its folder cannot be written, or the server does not accept it.
            Exception: whatever wandb raises.
        """
        files.check_writable(run.path)
        stop_requested, sweep = threading.Event(), marks.opened(run.path)[1]

        def reopen() -> Any:
            group = sweep or run.path.resolve().parent.name
            path, stop = marks.address(run), stop_requested.set
            wandb_run = logger.init_by_path(path, sweep, stop, AT_ONCE, group=group)
            logger.complete_config(wandb_run, run.config)
            return wandb_run

        restarts = service.restarts()
        wandb_run = reopen()
        try:
            marks.mark_opened(wandb_run, run.path, sweep)
        except Exception:
            _close(wandb_run)
            raise
        return AssignedRun(wandb_run, run.config, run.path, stop_requested, reopen, restarts)

    def _why_taken(self, run: Run) -> str:
        """Return why a run that was cut off is another process's by now, or ""."""
        if run.path not in self.opened:
            return ""
        if marks.time_opened(run.path) != self.opened[run.path]:  # not locked yet, or ended already
            return "another process has taken it meanwhile"
        return _why_busy(run)

    def _end(self, opened: Sequence[AssignedRun], results: Sequence[Run | RunError | None]) -> None:
        missing = packs.end(opened, results)
        for run, result in zip(opened, results):
            if why := missing.get(run) or (isinstance(result, RunError) and run.unlogged):
                self.outcome.left[str(run.folder)] = why
            elif run.folder not in self.opened:
                self.outcome.uploaded += 1
            elif isinstance(result, RunError):
                self.outcome.left[str(run.folder)] = str(result)
            else:
                self.outcome.continued += 1


def _close(wandb_run: Any) -> None:
    """Close a W&B run as it is: the run's folder has all."""
    with contextlib.suppress(Exception):
        wandb_run.finish(exit_code=PREEMPTED)


def _split(found: Sequence[Run], size: int) -> Iterator[Sequence[Run]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]
