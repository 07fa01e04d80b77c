"""Train many configurations at once in one process: the loop's numbers, far more of them an hour.

Configurations of one bucket (packing.py) are trained as a pack (pack.py); here are their run
folders, and what becomes of each.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from study import runs
from study.config import Config
from study.errors import RunError, UsageError, describe
from study.runs import Run
from study.train import (
    bank,
    data,
    devices,
    failures,
    loop,
    packing,
    provenance,
    results,
)
from study.train.callback import Callback
from study.train.checkpoint import PackCheckpoint
from study.train.member import Member
from study.train.pack import Pack
from study.train.predictions import Predictions


def train_one(
    config: Config,
    folder: str | Path,
    *,
    device: str | None = None,
    threads: int = 1,
    callback: Callback | None = None,
) -> Run:
    """Train a configuration in a run folder the way that suits the device: see loop.train, which
    documents arguments, result and errors."""
    options: dict[str, Any] = {"device": device, "threads": threads}
    if not packing.by_pack(config, devices.pick(device)):
        return loop.train(config, folder, callback=callback, **options)
    callbacks = [callback] if callback else None
    [result] = train([config], [folder], callbacks=callbacks, **options)
    if isinstance(result, RunError):
        raise result
    return result


def train(
    configs: Sequence[Config],
    folders: Sequence[str | Path],
    *,
    device: str | None = None,
    threads: int = 1,
    callbacks: Sequence[Callback] | None = None,
    share: int = 1,
    pictures: bool = True,
) -> list[Run | RunError]:
    """Train configurations of one bucket in their run folders, as many at once as memory holds.

    Like loop.train for each: a finished run is left alone, one that was cut off goes on. One that
    fails leaves the pack, and its place in the result has the cause; so does one whose folder
    cannot be worked in, which stays as it is. The others' numbers do not change. Out of memory
    halves the pack, which goes on from the last whole epoch.

    share: how many processes train on the device side by side. pictures: whether each run gets its
    picture of misclassified images, which takes longer than all else of its end.

    Raises:
        UsageError: a setting or a data file cannot be used; of a single run also its folder.
            Nothing was trained.
    """
    provenance.look_up()
    picked = devices.pick(device)
    devices.prepare(picked, configs[0], threads)
    callbacks = callbacks or [Callback() for _ in configs]
    members = [
        Member(config, Path(folder), callback, pictures)
        for config, folder, callback in zip(configs, folders, callbacks)
    ]
    with contextlib.ExitStack() as claims:
        for member in members:
            try:
                member.enter(claims)
            except (UsageError, RunError) as error:
                if len(members) == 1:  # as the loop does
                    raise
                member.failure, member.ended = failures.as_run_error(error), True
        data.load(configs[0])
        bank.prepare(configs[0])
        if active := _active(members):
            count = packing.count_packs(active[0].config, len(active), picked, share)
            for k in range(count):  # as even as can be
                _train_members(active[k::count], picked, threads)
    return [member.failure or runs.read(member.folder) for member in members]


def _active(members: Sequence[Member]) -> list[Member]:
    """Return the members that have neither ended nor failed."""
    return [member for member in members if not member.ended]


def _train_members(members: Sequence[Member], device: torch.device, threads: int) -> None:
    """Train members: the ones behind until they reach the next, then together."""
    for member in members:
        member.begin()
    while active := _active(members):
        reached = sorted({len(member.history) for member in active})
        until = reached[1] if len(reached) > 1 else active[0].config.epochs
        behind = [member for member in active if len(member.history) == reached[0]]
        _train_or_halve(behind, until, device, threads)


def _train_or_halve(members: list[Member], until: int, device: torch.device, threads: int) -> None:
    """Train a pack; out of memory, one half after the other, from the last whole epoch."""
    try:
        _train_pack(members, until, device, threads)
        return
    except Exception as error:
        failure = failures.remedied(error, members[0].config, device)
        full = devices.lacks_memory(error)
        if failure is None:  # an error in the code
            for member in _active(members):
                member.fail(RunError(describe(error)))
            raise
    # The error is gone here, and with it what held the pack's tensors.
    left = _active(members)
    if full and len(left) > 1:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        for member in left:
            member.restore()
        half = (len(left) + 1) // 2
        for part in (left[:half], left[half:]):
            if active := _active(part):
                _train_or_halve(active, until, device, threads)
        return
    for member in left:
        member.fail(failure)


def _train_pack(members: list[Member], until: int, device: torch.device, threads: int) -> None:
    """Train members that are at the same epoch until another, or their ends."""
    active = members
    shared = PackCheckpoint([member.folder for member in members])
    origin = {"threads": threads, "path": "pack", "pack": len(members)}
    try:
        devices.reset_peak_memory(device)
        pack = Pack([m.config for m in active], [m.state for m in active], device)
        origin |= {"kernels": "triton"} if pack.kernels else {}
        if active[0].history:
            _save(pack, active, shared)
        shared.link([member.folder for member in active])
        while active and len(active[0].history) < until:
            active = _train_epoch(pack, active, shared, origin)
        if active and until == active[0].config.epochs:
            _finish(pack, active, range(len(active)), runs.FINISHED, origin)
    finally:
        shared.leave([member.folder for member in members])
    for member in _active(members):  # others have reached their epoch, and they join them
        member.restore()


def _train_epoch(
    pack: Pack, members: list[Member], shared: PackCheckpoint, origin: dict[str, Any]
) -> list[Member]:
    """Train an epoch and save it; return the members that neither fail by it nor stop after it."""
    rows = pack.epoch(len(members[0].history) + 1, [member.callback for member in members])
    for member, row in zip(members, rows):
        member.add(row)
    members = _select(pack, members)
    if not members:
        return []
    _save(pack, members, shared)
    for member in members:
        try:
            runs.append_history(member.folder, member.history[-1])
        except RunError as failure:
            member.fail(failure)
    for member in _active(members):
        member.callback.epoch(member.history[-1])
    stopped = [k for k, m in enumerate(members) if not m.ended and m.callback.stops()]
    if len(members[0].history) < members[0].config.epochs:
        _finish(pack, members, stopped, runs.STOPPED, origin)
    return _select(pack, members)


def _save(pack: Pack, members: Sequence[Member], shared: PackCheckpoint) -> None:
    """Write the members of a pack after a whole epoch."""
    folders, lines = [m.folder for m in members], [m.lines for m in members]
    shared.write(folders, histories=lines, best=pack.best.state, **vars(pack.state()))


def _select(pack: Pack, members: list[Member]) -> list[Member]:
    """Go on with the members that have not ended."""
    active = [k for k, member in enumerate(members) if not member.ended]
    if 0 < len(active) < len(members):
        pack.select(active)
    return [members[k] for k in active]


def _finish(
    pack: Pack,
    members: Sequence[Member],
    positions: Sequence[int],
    state: str,
    origin: dict[str, Any],
) -> None:
    """Write the files of their end for the members at these positions. origin: see provenance.

    One whose files cannot be written fails alone.
    """
    if not positions:
        return
    predictions = Predictions.of_each(pack.predict_test())
    source = provenance.collect(pack.device, **origin)
    models = pack.state()
    kept = models.network | models.average
    for k in positions:
        member = members[k]
        weights = {name: values[k].clone() for name, values in kept.items()}
        try:
            results.write(
                member.folder, member.config, state, member.history, pack.dataset,
                predictions[k], pack.best.predictions(k), weights, source,
                member.picture,
            )  # fmt: skip
            member.ended = True
        except RunError as failure:
            member.fail(failure)
