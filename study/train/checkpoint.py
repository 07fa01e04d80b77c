"""A run after a whole epoch, as a file: the loop and a pack go on from each other's.

Where what is when: `checkpoint.pt` in a run's folder is the run's own, or, while a pack trains the
run, a symbolic link to the pack's, a hidden file beside the folders (PackCheckpoint). That one file
holds all runs of the pack and is replaced by one rename an epoch, so that a kill, at any moment,
leaves them all at one epoch. A run that leaves the pack gets a file of its own (`detach`): at once
where the pack ends, with the next command where it was killed. The last to leave removes the
pack's.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from study import files, runs
from study.errors import RunError, UsageError

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Checkpoint:
    """One moment of a run: the network's state, the optimizer's (see optimizer.State, tensors as
    the parameters of one network), the history, and predictions.BestEpoch's (None: not known)."""

    network: dict[str, Tensor]
    optimizer: dict[str, list[Tensor]]
    history: list[dict[str, Any]]
    best: dict[str, Tensor] | None = None

    def write(self, path: Path) -> None:
        """Write the checkpoint.

        Raises:
            RunError: the disk does not take it (see files.write).
        """
        files.write(path, lambda file: torch.save(vars(self), file))


class PackCheckpoint:
    """The checkpoint of the runs of a pack, in a new file beside the first one's folder (of a
    single run in its own)."""

    def __init__(self, folders: Sequence[Path]) -> None:
        home = folders[0].parent if len(folders) > 1 else folders[0]
        self.path = home / f".pack-{uuid.uuid4().hex[:12]}.pt"

    def link(self, folders: Sequence[Path]) -> None:
        """Make it the checkpoint of these runs, also before it is there: a link that leads nowhere
        is none.

        Raises:
            RunError: the disk does not take it.
        """
        for folder in folders:
            files.link(folder / runs.CHECKPOINT, self.path)

    def write(
        self,
        folders: Sequence[Path],
        network: dict[str, Tensor],
        optimizer: dict[str, list[Tensor]],
        histories: Sequence[Sequence[str]],
        best: dict[str, Tensor],
    ) -> None:
        """Write the runs of these folders as they are now, in place of what was written before.

        network, optimizer, best: as a Checkpoint's, but [runs, ...]; histories: lines of JSON.

        Raises:
            RunError: the disk does not take it.
        """
        content = {
            "folders": [_relative(folder, self.path) for folder in folders],
            "network": network,
            "optimizer": optimizer,
            "histories": ["\n".join(lines) for lines in histories],
            "best": best,
        }
        files.write(self.path, lambda file: torch.save(content, file))

    def leave(self, folders: Sequence[Path]) -> None:
        """Give each of these runs that has not ended a checkpoint of its own.

        Where the disk does not take it, the link and the pack's file stay.
        """
        for folder in folders:
            with contextlib.suppress(UsageError, RunError):
                detach(folder)
        _remove_unlinked(self.path, folders)


def read(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint, its tensors on the device.

    Raises:
        UsageError: it is damaged.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True, mmap=path.is_symlink())
        if "folders" in content:
            content = _one_of_pack(content, path)
        if "momentum" in content:  # written before there were optimizers; empty: it had none
            momentum = content.pop("momentum")
            content["optimizer"] = {"momentum": momentum} if momentum else {}
        return Checkpoint(**content)
    except Exception as error:
        raise damaged(path) from error


def _one_of_pack(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the content of a run's checkpoint from that of its pack. Copies, since a view would be
    saved with all that it is a view of."""
    folders, folder = content["folders"], _relative(path.parent, path.resolve())
    if not path.is_symlink():  # copied by a tool that follows links
        folders, folder = [Path(name).name for name in folders], path.resolve().parent.name
    if folders.count(folder) != 1:
        raise ValueError(f"{path}: of another run")
    k = folders.index(folder)
    return {
        "network": _row(content["network"], k),
        "optimizer": {
            name: [values[k].clone() for values in tensors]
            for name, tensors in content["optimizer"].items()
        },
        "history": [json.loads(line) for line in content["histories"][k].splitlines()],
        "best": {name: values[k].clone() for name, values in content.get("best", {}).items()}
        or None,
    }


def _row(tensors: dict[str, Tensor], k: int) -> dict[str, Tensor]:
    return {name: values[k].clone() for name, values in tensors.items()}


def detach(folder: Path) -> None:
    """Give a run a checkpoint of its own where it shares a pack's.

    Raises:
        UsageError: the pack's is damaged.
        RunError: the disk does not take it.
    """
    path = folder / runs.CHECKPOINT
    if not path.is_symlink():
        return
    if not path.is_file():  # the pack had no whole epoch
        path.unlink()
        return
    shared = path.resolve()
    read(path, CPU).write(path)
    _remove_unlinked(shared, _folders(shared))


def remove(folder: Path) -> None:
    """Remove the checkpoint of a run that has ended: a pack's file before its last link, which
    alone says where it is."""
    path = folder / runs.CHECKPOINT
    if path.is_symlink() and path.is_file():
        with contextlib.suppress(Exception):  # a damaged one is another run's matter
            _remove_unlinked(path.resolve(), _folders(path.resolve()))
    path.unlink(missing_ok=True)


def _folders(shared: Path) -> list[Path]:
    """Return the folders of the runs in a pack's file."""
    content = torch.load(shared, map_location=CPU, weights_only=True, mmap=True)
    return [shared.parent / name for name in content["folders"]]


def _remove_unlinked(shared: Path, folders: Sequence[Path]) -> None:
    """Remove a pack's file unless it is the checkpoint of one of these runs that has not ended."""
    links = (folder / runs.CHECKPOINT for folder in folders)
    linked = (path for path in links if path.is_symlink() and path.resolve() == shared.resolve())
    if all(_has_ended(path.parent) for path in linked):
        shared.unlink(missing_ok=True)


def _has_ended(folder: Path) -> bool:
    try:
        return runs.is_done(folder)
    except UsageError:  # damaged: for whoever trains it
        return False


def _relative(folder: Path, shared: Path) -> str:
    """Return the path of a run's folder as a pack's file names it: both may move together."""
    return os.path.relpath(folder.resolve(), shared.resolve().parent)


def damaged(path: Path) -> UsageError:
    """Return the error for a checkpoint that cannot be used."""
    return UsageError(f"{path}: is damaged; delete it to train this run anew")
