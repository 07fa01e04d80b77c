"""A run after a whole epoch, as a file: the loop and a pack go on from each other's.

Where a checkpoint is: `checkpoint.pt` in a run's folder is the run's own, or, while a pack trains
the run, a symbolic link to the pack's, a hidden file beside the folders (PackCheckpoint). That one
file holds all runs of the pack and is replaced by one rename an epoch, so that a kill, at any
moment, leaves them all at one epoch. A run that leaves the pack gets a file of its own (`detach`):
at once where the pack ends, with the next command where it was killed. The last to leave removes
the pack's.

A file ends with the checksum of what stands before it, in which a flipped bit shows.
"""

import contextlib
import functools
import io
import json
import mmap
import os
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from study import files, runs
from study.errors import DamagedError, RunError, UsageError, first_line

CPU = torch.device("cpu")
MARK = b"crc32:"  # stands before the checksum, 8 hexadecimal digits
SEAL = len(MARK) + 8  # bytes at the end of a file
UNSEALED = b"PK\x05\x06"  # stands 22 bytes before the end of a file that has no checksum yet


@dataclass(frozen=True)
class Checkpoint:
    """One moment of a run: the network's state, the optimizer's (see optimizer.State, tensors as
    the parameters of one network), the history, predictions.BestEpoch's (None: not known), and the
    average.Average of the network's state (empty: none)."""

    network: dict[str, Tensor]
    optimizer: dict[str, list[Tensor]]
    history: list[dict[str, Any]]
    best: dict[str, Tensor] | None = None
    average: dict[str, Tensor] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the checkpoint.

        Raises:
            RunError: the disk does not take it (see files.write).
        """
        files.write(path, lambda file: _save(vars(self), file))


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
        average: dict[str, Tensor],
    ) -> None:
        """Write the runs of these folders as they are now, in place of what was written before.

        network, optimizer, best, average: as a Checkpoint's, but [runs, ...]; histories: lines of
        JSON.

        Raises:
            RunError: the disk does not take it.
        """
        content = {
            "folders": [_relative(folder, self.path) for folder in folders],
            "network": network,
            "optimizer": optimizer,
            "histories": ["\n".join(lines) for lines in histories],
            "best": best,
            "average": average,
        }
        files.write(self.path, lambda file: _save(content, file))

    def leave(self, folders: Sequence[Path]) -> None:
        """Give each of these runs that has not ended a checkpoint of its own.

        Where the disk does not take it, the link and the pack's file stay.
        """
        for folder in folders:
            with contextlib.suppress(UsageError, RunError):
                detach(folder)
        _remove_unlinked(self.path, folders)


def _save(content: dict[str, Any], file: io.BytesIO) -> None:
    """Save content with its checksum behind it, which torch and zip readers pass over."""
    torch.save(content, file)
    with file.getbuffer() as body:
        seal = MARK + b"%08x" % zlib.crc32(body)
    file.write(seal)


def _load(path: Path, device: torch.device) -> dict[str, Any]:
    """Load what `_save` wrote, of a pack without reading what nobody asks for.

    Raises:
        DamagedError: it is not as it was written.
    """
    try:
        status = path.stat()
        _check_seal(path.resolve(), status.st_mtime_ns, status.st_size)
        return torch.load(path, map_location=device, weights_only=True, mmap=path.is_symlink())
    except Exception as error:  # of bytes that are anything torch raises anything
        raise damaged(path, first_line(error)) from error


@functools.lru_cache(maxsize=8)
def _check_seal(path: Path, _time: int, _size: int) -> None:
    """Check the bytes of a file against its checksum: of a pack's file once for all its runs."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[-SEAL:].startswith(MARK):
            with memoryview(content) as body, body[:-SEAL] as sealed:
                if content[-8:] != b"%08x" % zlib.crc32(sealed):
                    raise ValueError("its checksum does not agree")
        elif content[-22:-18] != UNSEALED:
            raise ValueError("it is cut")


def read(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint, its tensors on the device.

    Raises:
        DamagedError: it is damaged.
    """
    content = _load(path, device)
    try:
        if "folders" in content:
            content = _one_of_pack(content, path)
        if "momentum" in content:  # written before there were optimizers; empty: it had none
            momentum = content.pop("momentum")
            content["optimizer"] = {"momentum": momentum} if momentum else {}
        return Checkpoint(**content)
    except Exception as error:
        raise damaged(path, first_line(error)) from error


def _one_of_pack(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the content of a run's checkpoint from that of its pack. Copies, since a view would be
    saved with all that it is a view of."""
    folders, folder = content["folders"], _relative(path.parent, path.resolve())
    if not path.is_symlink():  # copied by a tool that follows links
        folders, folder = [Path(name).name for name in folders], path.resolve().parent.name
    if folders.count(folder) != 1:
        raise ValueError("of another run")
    k = folders.index(folder)
    return {
        "network": _row(content["network"], k),
        "optimizer": {
            name: [values[k].clone() for values in tensors]
            for name, tensors in content["optimizer"].items()
        },
        "history": [json.loads(line) for line in content["histories"][k].splitlines()],
        "best": _row(content["best"], k) if "best" in content else None,
        "average": _row(content.get("average", {}), k),
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


def clear(folder: Path) -> None:
    """Remove the checkpoints that killed processes left in the folder of a sweep, or of a run: of
    runs that have ended, and of packs that no run goes on from."""
    paths = [folder / runs.CHECKPOINT, *folder.glob(f"*/{runs.CHECKPOINT}")]
    for path in paths:
        if path.exists() and runs.is_done(path.parent):
            remove(path.parent)
    linked = {path.resolve() for path in paths if path.is_symlink()}
    for shared in folder.glob(".pack-*.pt"):
        if shared.resolve() not in linked:
            shared.unlink(missing_ok=True)


def _folders(shared: Path) -> list[Path]:
    """Return the folders of the runs in a pack's file."""
    return [shared.parent / name for name in _load(shared, CPU)["folders"]]


def _remove_unlinked(shared: Path, folders: Sequence[Path]) -> None:
    """Remove a pack's file unless it is the checkpoint of one of these runs that has not ended."""
    links = (folder / runs.CHECKPOINT for folder in folders)
    linked = (path for path in links if path.is_symlink() and path.resolve() == shared.resolve())
    if all(runs.is_done(path.parent) for path in linked):
        shared.unlink(missing_ok=True)


def _relative(folder: Path, shared: Path) -> str:
    """Return the path of a run's folder as a pack's file names it: both may move together."""
    return os.path.relpath(folder.resolve(), shared.resolve().parent)


def damaged(path: Path, why: object) -> DamagedError:
    """Return the error for a checkpoint that cannot be used."""
    return DamagedError(path, why, "train the run again, which sets it aside")
