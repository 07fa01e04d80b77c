"""The jobs of a sweep: which runs a worker trains next, alone or as a pack."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from study import runs
from study.config import Config
from study.labels import labels
from study.sweep.bayes import STARTUP
from study.sweep.job import Job, Task
from study.sweep.search import Search
from study.sweep.trials import Trial
from study.tracking.marks import Mode
from study.train import packing

LOGGED_AT_ONCE = 16  # runs that a worker logs at most: of a killed one these are logged anew


class JobQueue:
    """Makes the jobs: runs that the search suggests, and trained runs to be logged to W&B.

    count: how many runs are still to be asked for; unlogged, after_packs: trained runs that are to
    be logged to W&B; waiting: trials that are leased but did not fit the bucket of an earlier pack;
    pack: runs of a pack (default: see packing.default_size); share: workers on a device.
    """

    def __init__(
        self,
        search: Search,
        out: Path,
        count: int,
        unlogged: Iterable[Config],
        *,
        devices: Sequence[str] = ("cpu",),
        threads: int = 1,
        mode: Mode = "offline",
        pack: int | None = None,
        share: int = 1,
    ) -> None:
        self.search, self.out, self.count = search, out, count
        self.devices, self.pack = devices, pack
        self.options = {"threads": threads, "mode": mode, "share": share}
        self.waiting: list[Trial] = []
        self.unlogged = self._tasks(list(unlogged))
        self.after_packs: list[Task] = []
        self.total = count + len(self.unlogged)

    def next_training(self, slot: int) -> tuple[Job, list[Trial]] | None:
        """Return what the worker of a slot trains next, with its trials; None: nothing now."""
        self.waiting = self.waiting or self._ask(1)
        if not self.waiting:
            return None
        first = self.waiting.pop(0)
        device = self.devices[slot % len(self.devices)]
        size = self._pack_size(first.config, device)
        trials = [first, *self._ask_for_bucket(first.config, size - 1)]
        stoppable = self.search.sweep.hyperband is not None
        tasks = self._tasks([trial.config for trial in trials])
        return self._job(tasks, device, stoppable=stoppable), trials

    def next_logging(self, free: int) -> tuple[Job, list[None]] | None:
        """Return the trained runs that the next of `free` workers logs, one after another, since
        starting wandb takes as long as logging two runs; None: nothing now."""
        waiting = self.unlogged or self.after_packs
        if not waiting:
            return None
        count = min(LOGGED_AT_ONCE, math.ceil(len(waiting) / free))
        job = self._job(waiting[:count], "cpu", trains=False, after_pack=not self.unlogged)
        del waiting[:count]
        return job, [None] * count

    def log_after_pack(self, tasks: Iterable[Task]) -> None:
        """Have runs that a pack has trained logged by jobs of their own."""
        self.after_packs.extend(tasks)

    def count_epochs(self) -> int:
        """Count the epochs of training ahead, at most."""
        return self.search.count_epochs(self.count)

    def _pack_size(self, config: Config, device: str) -> int:
        """Return how many such runs are trained at once, at most an even share of the devices."""
        if packing.bucket(config) is None:
            return 1
        size = self.pack or packing.default_size(config, device)
        if self.search.sweep.method == "bayes" and not self.pack:
            size = min(size, STARTUP)  # suggested all at once, they could not learn from each other
        ahead = self.count + len(self.waiting) + 1
        return min(size, math.ceil(ahead / len(self.devices)))

    def _ask_for_bucket(self, first: Config, limit: int) -> list[Trial]:
        """Return at most `limit` trials of a bucket; what a search suggests beside them waits."""
        bucket = packing.bucket(first)

        def fits(config: Config) -> bool:
            return packing.bucket(config) == bucket

        trials = [trial for trial in self.waiting if fits(trial.config)][:limit]
        self.waiting = [trial for trial in self.waiting if trial not in trials]
        for trial in self._ask(limit - len(trials) - len(self.waiting), fits):
            (trials if fits(trial.config) else self.waiting).append(trial)
        return trials

    def _ask(self, limit: int, accept: Callable[[Config], bool] | None = None) -> list[Trial]:
        trials = self.search.ask_many(min(limit, self.count), accept)
        self.count -= len(trials)
        return trials

    def _tasks(self, configs: list[Config]) -> list[Task]:
        names = labels([*self.search.sweep.samples, *configs])
        return [Task(c, names[c.without_seed()], self.out / runs.name(c)) for c in configs]

    def _job(self, tasks: list[Task], device: str, **kind: bool) -> Job:
        sweep = self.search.sweep
        options: dict[str, Any] = self.options | kind
        return Job(tuple(tasks), sweep.name, sweep.project, device, entity=sweep.entity, **options)
