"""A run after a whole epoch, as a file: the loop and a pack go on from each other's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from study import files
from study.errors import UsageError


@dataclass(frozen=True)
class Checkpoint:
    """One moment of a run: the network's state, the optimizer's (see optimizer.State, tensors as
    the parameters of one network) and the history."""

    network: dict[str, Tensor]
    optimizer: dict[str, list[Tensor]]
    history: list[dict[str, Any]]

    def write(self, path: Path) -> None:
        """Write the checkpoint.

        Raises:
            RunError: the disk does not take it (see files.write).
        """
        content = {"network": self.network, "optimizer": self.optimizer, "history": self.history}
        files.write(path, lambda file: torch.save(content, file))


def read(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint, its tensors on the device.

    Raises:
        UsageError: it is damaged.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if "momentum" in content:  # written before there were optimizers; empty: it had none
            momentum = content.pop("momentum")
            content["optimizer"] = {"momentum": momentum} if momentum else {}
        return Checkpoint(**content)
    except Exception as error:
        raise damaged(path) from error


def damaged(path: Path) -> UsageError:
    """Return the error for a checkpoint that cannot be used."""
    return UsageError(f"{path}: is damaged; delete it to train this run anew")
