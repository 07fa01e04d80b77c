"""Run a sweep on this machine: no account, no network, only what is missing.

A queue (job_queue.py) has the jobs (job.py), a pool (pool.py) the workers that do them (worker.py).
"""

import contextlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import joblib
import torch

from study import files, forks, locks, planned, runs
from study.config import Config
from study.errors import UsageError
from study.sweep import trials
from study.sweep.job_queue import JobQueue
from study.sweep.methods import search_of
from study.sweep.outcome import Outcome
from study.sweep.pool import Pool
from study.sweep.sweep import Sweep
from study.sweep.worker import PRELOAD
from study.tracking import client, marks, tables
from study.tracking.marks import Mode
from study.train import bank, checkpoint, data, devices, networks


def run(
    sweep: Sweep,
    out: Path,
    *,
    workers: int | None = None,
    pack: int | None = None,
    limit: int | None = None,
    device: str | None = None,
    threads: int = 1,
    mode: Mode = "offline",
    search_seed: int = 0,
    storage: str | None = None,
) -> Outcome:
    """Train what is missing of the sweep into `out`, in `workers` processes side by side.

    On a GPU each trains a pack of runs at once, of a bayes search at most STARTUP. `pack` sets
    their number, also on a CPU, where it is 1 by default. Runs that failed or were killed go on
    from their last whole epoch. A run that fails does not stop the others. Each leaves a W&B run:
    beside it, or on the server (mode online). `storage`: the URL of a database that machines
    without a common file system share.

    Raises:
        UsageError: a network cannot be built, a data set, the bank, the folder or the database
            cannot be used, the search would never end, or mode is online without an API key;
            nothing was trained.
        RunError: mode is online and no server answers, or no database; nothing was trained.
    """
    tables.count_pictures()
    client.forget_assigned_run()  # or each run would be logged as that one
    if mode == "online":
        client.check_online()
    sweep.check_end(limit)
    with contextlib.ExitStack() as stack:
        if storage is None:
            try:
                stack.enter_context(locks.share(out, checkpoint.clear))
            except UsageError:
                if outcome := _find_finished(sweep, out, limit, mode, search_seed):
                    return outcome
                raise
        search = search_of(sweep, out, seed=search_seed, storage=storage)
        pending = search.pending(limit)
        unlogged = _unlogged(search.configs_done_here(), out, mode)
        outcome = Outcome(existing=search.existing)
        if pending or unlogged:
            if storage is not None:
                stack.enter_context(locks.share(out, checkpoint.clear))
            networks.build_each(pending)
            planned.write(out, sweep.plan())
            forks.context(PRELOAD)  # its server imports while the data are prepared
            _prepare_data(pending)
            names = _device_names(device)
            cores = joblib.cpu_count() // threads or 1
            slots = workers or _count_slots(sweep, names, cores)
            slots = min(slots, len(pending) + len(unlogged))
            queue = JobQueue(search, out, len(pending), unlogged, devices=names, threads=threads,
                             mode=mode, pack=pack, share=math.ceil(slots / len(names)))  # fmt: skip
            Pool(queue, slots, cores, outcome).run()
        elif out.is_dir():
            planned.write(out, sweep.plan())
        outcome.by_other_workers = search.count_by_other_workers()
        outcome.remaining, outcome.end_reason = search.count_remaining(), search.end_reason()
        return outcome


def _find_finished(
    sweep: Sweep, out: Path, limit: int | None, mode: Mode, seed: int
) -> Outcome | None:
    """Return the outcome of a command that has nothing to do, in a folder that cannot be written;
    None where something is left."""
    with files.temporary_folder() as home:
        journal = home / trials.JOURNAL
        if (out / trials.JOURNAL).is_file():
            shutil.copyfile(out / trials.JOURNAL, journal)
        search = search_of(sweep, out, seed=seed, storage=journal)
        left = search.pending(limit) and not search.is_target_reached()
        if left or _unlogged(search.configs_done_here(), out, mode):
            return None
        return Outcome(
            existing=search.existing,
            remaining=search.count_remaining(),
            end_reason=search.end_reason(),
        )


def _device_names(device: str | None) -> list[str]:
    """Return the devices that the workers train on, in turn."""
    chosen = devices.pick(device)
    if str(chosen) == "cuda":  # none in particular: all
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(chosen)]


def _count_slots(sweep: Sweep, names: list[str], cores: int) -> int:
    """Return how many workers train on these devices: on CPUs one a core; two on each CUDA device,
    so that one computes while the other starts or writes its runs' ends; one where a search is to
    learn from them."""
    if names == ["cpu"]:
        return cores
    on_cuda = names[0].startswith("cuda") and sweep.method != "bayes"
    return 2 * len(names) if on_cuda else len(names)


def _unlogged(configs: Iterable[Config], out: Path, mode: Mode) -> list[Config]:
    """Return those of the trained configurations that have no W&B run."""
    return [c for c in configs if not marks.is_recorded(out / runs.name(c), mode)]


def _prepare_data(configs: Iterable[Config]) -> None:
    """Check the data sets and make the banks once, ahead of the runs."""
    longest: dict[tuple[str, str], Config] = {}
    for config in configs:
        kind = config.dataset, config.augment
        if kind not in longest or config.epochs > longest[kind].epochs:
            longest[kind] = config
    for config in longest.values():
        data.load(config)
        bank.prepare(config)
