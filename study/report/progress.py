"""How far the runs of a sweep are, by what their folders hold while it runs.

Reads folders that are being written: what is torn, gone or not yet there is passed over, and seen
the next time.
"""

import contextlib
import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from study import locks, planned, runs, schema, search_record, sweep_folder
from study.config import Config
from study.errors import DamagedError, UsageError
from study.labels import labels
from study.metrics import default_metric
from study.planned import Plan
from study.runs import DONE, FAILED, FINISHED, RUNNING, STOPPED, Run

SEEN = (runs.CONFIG, runs.HISTORY, runs.SUMMARY)  # the files that tell how far a run is
Stamp = tuple[tuple[str, int, int], ...]  # of each file: its name, time and size


@dataclass(frozen=True)
class RunProgress:
    """A run: its epochs so far, of how many; `score` at the last, `time` of it; `cause` of a
    failure."""

    label: str
    seed: int
    epoch: int
    epochs: int
    score: str
    time: str
    cause: str


@dataclass(frozen=True)
class Progress:
    """The runs of some sweeps together. total: how many are planned; None where that is not known;
    states: how many runs are in each; is_done: whether none is left to run; has_results: whether
    each sweep has a finished run; ended: what differs whenever a report would."""

    total: int | None
    states: Counter[str]
    running: list[RunProgress]
    failed: list[RunProgress]
    is_done: bool
    has_results: bool
    ended: tuple[Any, ...]

    @property
    def words(self) -> str:
        """The counts as a sentence."""
        total = "" if self.total is None else f" of {self.total:,} planned runs"
        counts = [f"{self.states[FINISHED]:,}{total} finished"]
        if self.states[STOPPED]:
            counts.append(f"{self.states[STOPPED]:,} stopped early")
        counts += [f"{self.states[state]:,} {state}" for state in (RUNNING, FAILED)]
        if self.total is not None:
            counts.append(f"{max(0, self.total - self.states.total()):,} to come")
        return f"{', '.join(counts)}."


def read(folders: Sequence[Path], ended: Iterable[Run] = ()) -> Progress:
    """Read how far the runs in the folders of some sweeps are.

    ended: runs that were read before and have nothing left to train: they are not read again.
    """
    known = {run.path: run for run in ended if run.done}
    each = [_read_sweep(folder, known) for folder in folders]
    totals = [progress.total for progress in each]
    return Progress(
        sum(total for total in totals if total is not None) if None not in totals else None,
        sum((progress.states for progress in each), Counter[str]()),
        [run for progress in each for run in progress.running],
        [run for progress in each for run in progress.failed],
        all(progress.is_done for progress in each),
        all(progress.has_results for progress in each),
        tuple(progress.ended for progress in each),
    )


def _read_sweep(folder: Path, known: Mapping[Path, Run]) -> Progress:
    plan = _read_plan(folder, stamp(folder, (planned.FILE,)))
    stamps = {path: stamp(path, SEEN) for path in _run_folders(folder)}
    each = {path: known.get(path) or _read_run(path, at) for path, at in stamps.items()}
    found = {path: run for path, run in each.items() if run}
    by_config: dict[Config, Run] = {}
    for run in sorted(found.values(), key=lambda run: run.state not in DONE):  # as in the report
        by_config.setdefault(run.config, run)
    expected = plan.configs if plan else []
    names = labels([*expected, *by_config])
    states = Counter(run.state for run in by_config.values())
    total = _total(folder, plan, by_config)
    histories = [run.history for run in by_config.values()]
    reached = plan is not None and plan.reaches_target(histories)
    described = {
        state: [
            _describe(run, stamps[run.path], names[run.config.without_seed()], plan)
            for run in by_config.values()
            if run.state == state
        ]
        for state in (RUNNING, FAILED)
    }
    is_done = bool(by_config) and not states[RUNNING]
    is_done = is_done and (reached or _has_all(folder, total, states.total()))
    ended = [(path, stamps[path]) for path, run in found.items() if run.state != RUNNING]
    return Progress(
        total, states, described[RUNNING], described[FAILED], is_done, states[FINISHED] > 0,
        (stamp(folder, (planned.FILE,)), *ended),
    )  # fmt: skip


def _total(folder: Path, plan: Plan | None, by_config: dict[Config, Run]) -> int | None:
    """How many runs a sweep has: of a grid those planned and those that are there beside them, of a
    search its limit, or those that are there once it has found no other."""
    if plan is None:
        return None
    if plan.configs:
        return len({*plan.configs, *by_config})
    with contextlib.suppress(UsageError):
        record = search_record.read(folder)
        # A command that works on it may search another space.
        if record and record.exhausted and not locks.is_in_use(folder):
            return len(by_config)
    return plan.run_cap


def _has_all(folder: Path, total: int | None, count: int) -> bool:
    """Whether a sweep has all its runs; where nobody knows how many those are, whether no command
    works on it, which may be between two."""
    return not locks.is_in_use(folder) if total is None else count >= total


@functools.lru_cache
def _read_plan(folder: Path, stamp: Stamp) -> Plan | None:
    """Read a plan as it was at a time: its configurations are expanded once."""
    with contextlib.suppress(DamagedError):
        return planned.read(folder)
    return None


def _run_folders(folder: Path) -> list[Path]:
    """The folders of a sweep's runs; none where its disk cannot be read just now."""
    try:
        return sweep_folder.find_folders(folder)
    except OSError:
        return []


def stamp(folder: Path, names: Sequence[str]) -> Stamp:
    """What differs whenever files of a folder have changed; without those that are not there."""
    found = []
    for name in names:
        with contextlib.suppress(OSError):
            facts = (folder / name).stat()
            found.append((name, facts.st_mtime_ns, facts.st_size))
    return tuple(found)


@functools.lru_cache(maxsize=planned.MOST)
def _read_run(path: Path, stamp: Stamp) -> Run | None:
    """Read a run as it was at a time; None where that cannot be read."""
    try:
        config, summary = runs.read_config(path), runs.read_summary(path)
        state = summary.get("state") if isinstance(summary, dict) else None
        if state in DONE:  # then all is written, and a report leaves it out where it is damaged
            history = runs.read_history(path)
            schema.check_history(history, config)
            schema.check_summary(summary, history)
        else:
            history = _read_so_far(path / runs.HISTORY)
    except (ValueError, OSError):
        return None
    return Run(path, config, history, summary if state in (*DONE, FAILED, RUNNING) else {})


def _read_so_far(path: Path) -> list[dict[str, Any]]:
    """The epochs in a history that is being written, up to a torn line."""
    body = path.read_bytes() if path.exists() else b""
    return list(itertools.takewhile(bool, map(_row, body.splitlines())))


def _row(line: bytes) -> dict[str, Any]:
    """An epoch; empty where the line is torn."""
    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(line)
        if isinstance(row, dict) and isinstance(row.get("epoch"), int):
            return {name: value for name, value in row.items() if type(value) in (int, float)}
    return {}


def _describe(run: Run, stamp: Stamp, label: str, plan: Plan | None) -> RunProgress:
    """Describe a run; its time is that of its last epoch, which its end leaves alone."""
    time = max((at for name, at, _ in stamp if name != runs.SUMMARY), default=0) / 1e9
    last = run.history[-1] if run.history else {}
    metric = (plan.metric if plan else None) or default_metric("val/accuracy" in last)
    return RunProgress(
        label,
        run.config.seed,
        int(last.get("epoch", 0)),
        run.config.epochs,
        f"{metric.title} {metric.format(last[metric.name])}" if metric.name in last else "",
        datetime.fromtimestamp(time).strftime("%d %b %H:%M:%S"),
        str(run.summary.get("cause") or ""),
    )
