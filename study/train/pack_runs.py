"""Train many configurations at once in one process: the loop's numbers, far more of them an hour.

Configurations that agree in config.SHARED are one bucket. They are trained as a pack (pack.py);
here are their run folders, and what becomes of each.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from study import files, runs
from study.config import SHARED, Config
from study.errors import RunError, UsageError, describe
from study.plans import PLANS
from study.runs import Run
from study.train import (
    augment,
    checkpoint,
    data,
    devices,
    loop,
    networks,
    optimizer,
    provenance,
    results,
)
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint
from study.train.pack import Pack

MAX_FITTING = 512  # configurations: in a larger pack each costs no less
MEMORY_SHARE = 0.7  # of the free memory that a pack may be estimated to take


def bucket(config: Config) -> tuple | None:
    """Return what configurations of one pack have in common; None where the loop must train it
    (timm's backbones)."""
    if config.network not in PLANS:
        return None
    return tuple(getattr(config, name) for name in SHARED)


def fits(config: Config, device: torch.device) -> int:
    """Estimate how many configurations like this the device's free memory holds; on a CPU 1, where
    processes side by side are faster than a pack.

    A model takes each layer's output, kept for the backward pass, and the gradient of each.
    """
    if device.type != "cuda" or bucket(config) is None:
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    width = 2 if config.precision == "float64" else 1
    model = networks.parameter_table(config)["activations_mb"] * width * config.batch_size
    images = len(data.load(config).train.images) * data.load(config).train.images[0].nbytes
    images *= config.epochs if config.augment != "none" else 1
    return max(
        1, min(MAX_FITTING, int((free * MEMORY_SHARE - images) / (model * networks.MEGABYTE)))
    )


@dataclass
class Member:
    """One configuration of a pack: its run folder, its callback, and what became of it."""

    config: Config
    folder: Path
    callback: Callback
    history: list[dict[str, float]] = field(default_factory=list)
    failure: RunError | None = None
    ended: bool = False

    def begin(self, device: torch.device) -> Iterator[Checkpoint | None]:
        """Yield the checkpoint that it goes on from, None at its start; nothing where it ended."""
        if self.ended:
            return
        state = None
        try:
            if (self.folder / runs.CHECKPOINT).is_file():
                state = checkpoint.read(self.folder / runs.CHECKPOINT, device)
                self.history = state.history
            results.begin(self.folder, self.config, self.history)
        except (UsageError, RunError) as error:
            self.fail(RunError(str(error)))
            return
        self.callback.begin(self.history)
        yield state

    def record_epoch(
        self, row: dict[str, float], network: dict[str, torch.Tensor], state: optimizer.State
    ) -> bool:
        """Take an epoch's line and save the state after it; return whether the run stops there."""
        try:
            loop.check_finite(row)
        except RunError as failure:
            self.fail(failure)
            return False
        self.history.append(row)
        Checkpoint(network, state, self.history).write(self.folder / runs.CHECKPOINT)
        runs.write_history(self.folder, self.history)
        return self.callback.epoch(row)

    def fail(self, failure: RunError) -> None:
        """Leave the pack, the cause in the run's summary."""
        self.failure, self.ended = failure, True
        runs.write_failure(self.folder, self.config, str(failure))


def train(
    configs: Sequence[Config],
    folders: Sequence[str | Path],
    *,
    device: str | None = None,
    threads: int = 1,
    callbacks: Sequence[Callback] | None = None,
) -> list[Run | RunError]:
    """Train configurations of one bucket in their run folders, as many at once as memory holds.

    Like loop.train for each: a finished run is left alone, one that was cut off goes on. One that
    fails leaves the pack, and its place in the result has the cause; the others' numbers do not
    change. Out of memory halves the pack, which goes on from the last whole epoch.

    Raises:
        UsageError: a setting, a data file or a folder cannot be used; nothing was trained.
    """
    picked = devices.pick(device)
    devices.prepare(picked, configs[0], threads)
    callbacks = callbacks or [Callback() for _ in configs]
    members = [Member(c, Path(f), callback) for c, f, callback in zip(configs, folders, callbacks)]
    with contextlib.ExitStack() as claims:
        for member in members:
            claims.enter_context(files.claim(member.folder))
            member.ended = loop.find_done(member.config, member.folder) is not None
        data.load(configs[0])
        augment.prepare(configs[0])
        _train_members(members, picked, threads)
    return [member.failure or runs.read(member.folder) for member in members]


def _train_members(members: Sequence[Member], device: torch.device, threads: int) -> None:
    """Train those not ended yet: a pack of all that are at the same epoch."""
    by_epoch: dict[int, list[tuple[Member, Checkpoint | None]]] = {}
    for member in members:
        for state in member.begin(device):
            by_epoch.setdefault(len(member.history), []).append((member, state))
    for _, pairs in sorted(by_epoch.items()):
        together, states = [member for member, _ in pairs], [state for _, state in pairs]
        _train_or_halve(together, states, device, threads)


def _train_or_halve(
    members: list[Member], states: list[Checkpoint | None], device: torch.device, threads: int
) -> None:
    """Train a pack; out of memory, one half after the other, from the last whole epoch."""
    try:
        _train_pack(members, states, device, threads)
        return
    except Exception as error:
        failure = loop.as_failure(error, members[0].config, device)
        full = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if failure is None:  # an error in the code
            for member in [member for member in members if not member.ended]:
                member.fail(RunError(describe(error)))
            raise
    # The error is gone here, and with it what held the pack's tensors.
    left = [member for member in members if not member.ended]
    if full and len(left) > 1:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        half = (len(left) + 1) // 2
        for part in (left[:half], left[half:]):
            _train_members(part, device, threads)
        return
    for member in left:
        member.fail(failure)


def _train_pack(
    members: list[Member], states: list[Checkpoint | None], device: torch.device, threads: int
) -> None:
    """Train members that are at the same epoch to their ends."""
    pack = Pack([member.config for member in members], states, device)
    way = {"threads": threads, "path": "pack", "pack": len(members)}
    way |= {"kernels": "triton"} if pack.kernels else {}
    epochs = members[0].config.epochs
    while len(members[0].history) < epochs:
        epoch = len(members[0].history) + 1
        rows = pack.epoch(epoch, [member.callback for member in members])
        stops = [m.record_epoch(row, *state) for m, row, state in zip(members, rows, pack.states())]
        stopped = [k for k, stop in enumerate(stops) if stop and epoch < epochs]
        _finish(pack, members, stopped, runs.STOPPED, way)
        going = [k for k, member in enumerate(members) if not member.ended]
        if not going:
            return
        if len(going) < len(members):
            pack.select(going)
            members = [members[k] for k in going]
    _finish(pack, members, range(len(members)), runs.FINISHED, way)


def _finish(
    pack: Pack,
    members: Sequence[Member],
    positions: Sequence[int],
    state: str,
    way: dict[str, Any],
) -> None:
    """Write the files of their end for the members at these positions. way: see provenance."""
    if not positions:
        return
    probabilities = pack.predict(pack.dataset.test.images).softmax(2).cpu().numpy()
    source = provenance.collect(pack.device, **way)
    states = list(pack.states())
    for k in positions:
        member = members[k]
        network = networks.build(member.config).to(pack.dtype)
        network.load_state_dict(states[k][0])
        results.write(
            member.folder, state, member.history, pack.dataset, probabilities[:, k], network, source
        )
        member.ended = True
