"""Where a run that stands in its folder goes on: at its end, after a whole epoch, or anew.

What is damaged is set aside, never deleted, and the run is trained again.
"""

import functools
from collections.abc import Collection
from pathlib import Path

import torch

from study import datasets, files, locks, runs, schema
from study.config import Config
from study.errors import DamagedError, UsageError
from study.runs import Run
from study.train import checkpoint, networks, optimizer
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint


def find_done(config: Config, folder: Path, callback: Callback) -> Run | None:
    """Return the run in a folder that the caller has claimed, where nothing is left to train.

    Raises:
        UsageError: another run is there.
        RunError: what is damaged cannot be set aside.
    """
    checkpoint.clear(folder)
    if not runs.holds_run(folder):
        return None
    try:
        run = runs.read(folder)
    except DamagedError as error:
        # A checkpoint has a history of its own: it needs nothing but to be of this run.
        keep = [runs.CHECKPOINT] if _is_of(config, folder) else []
        _set_aside(folder, error.fault, callback, keep)
        return None
    if run.config != config:
        raise UsageError(f"{folder}: holds another run ({run.config.non_defaults()})")
    if runs.is_of_replaced_data(run):
        file = datasets.own_path(config.dataset).name
        _set_aside(folder, f"{file} was replaced since it was trained", callback)
        return None
    return run if run.done else None


def find_checkpoint(
    config: Config, folder: Path, device: torch.device, callback: Callback
) -> Checkpoint | None:
    """Return where a run goes on, its tensors on the device; None where it begins.

    Raises:
        RunError: what is damaged cannot be set aside.
    """
    path = folder / runs.CHECKPOINT
    try:
        checkpoint.detach(folder)
        if not path.is_file():
            return None
        state = checkpoint.read(path, device)
        _check_fit(state, config, path)
        return state
    except DamagedError as error:
        _set_aside(folder, error.fault, callback)
        return None


def _check_fit(state: Checkpoint, config: Config, path: Path) -> None:
    """Check that a checkpoint is of such a network and optimizer, and its history such a run's."""
    network, slots = _shapes(networks.shaping(config), config.optimizer)
    try:
        schema.check_history(state.history, config)
        if {name: t.shape for name, t in state.network.items()} != network:
            raise ValueError("of another network")
        for name, tensors in state.optimizer.items():
            if [t.shape for t in tensors] != slots.get(name):
                raise ValueError("of another optimizer")
    except (AttributeError, TypeError, ValueError) as error:
        raise checkpoint.damaged(path, error) from error


@functools.lru_cache(maxsize=8)
def _shapes(shaping: Config, name: str) -> tuple[dict[str, torch.Size], dict[str, list]]:
    """Return the shapes of what a network and its optimizer hold, by name."""
    network = networks.build(shaping)
    state = optimizer.OPTIMIZERS[name].start(list(network.parameters()))
    shapes = {key: [t.shape for t in tensors] for key, tensors in state.items()}
    return {key: t.shape for key, t in network.state_dict().items()}, shapes


def _is_of(config: Config, folder: Path) -> bool:
    try:
        return runs.read_config(folder) == config
    except UsageError:
        return False


def _set_aside(folder: Path, why: str, callback: Callback, keep: Collection[str] = ()) -> None:
    """Move what a run folder holds, except the files to `keep`, into a folder beside it that no
    command reads. The folder stays, and its lock."""
    place = files.place_aside(folder)
    for entry in list(folder.iterdir()):
        if entry.name != locks.LOCK and entry.name not in keep:
            files.move(entry, place / entry.name)
    opened = Path(runs.WANDB) / runs.OPENED
    if keep and (place / opened).is_file():  # its W&B run goes on too
        files.copy(place / opened, folder / opened)
    goes_on = any((folder / name).exists() for name in keep)
    how = "from the last whole epoch" if goes_on else "from the start"
    callback.warn(f"{why}: set aside as {place.name}, and trained again {how}")
