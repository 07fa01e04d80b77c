"""A run after a whole epoch, as a file: what either way of training goes on from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from study import files
from study.errors import UsageError


@dataclass(frozen=True)
class Checkpoint:
    """The network's state, the momentum of its parameters in order (none without), the history: so
    that what a file holds is one moment."""

    network: dict[str, Tensor]
    momentum: list[Tensor]
    history: list[dict[str, Any]]

    def write(self, path: Path) -> None:
        """Raises RunError where the disk does not take it (see files.write)."""
        state = {"network": self.network, "momentum": self.momentum, "history": self.history}
        files.write(path, lambda file: torch.save(state, file))


def read(path: Path, device: torch.device) -> Checkpoint:
    """A checkpoint, its tensors on the device.

    Raises:
        UsageError: it is damaged.
    """
    try:
        return Checkpoint(**torch.load(path, map_location=device, weights_only=True))
    except Exception as error:
        raise damaged(path) from error


def damaged(path: Path) -> UsageError:
    """What to say of a checkpoint that cannot be used."""
    return UsageError(f"{path}: is damaged; delete it to train this run anew")
