"""What the models of a pack have learned, apart from the networks and matrices it is trained in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from study.config import Config
from study.train import loop
from study.train.average import Tensors
from study.train.checkpoint import Checkpoint
from study.train.optimizer import OPTIMIZERS, State


@dataclass(frozen=True)
class PackState:
    """network, optimizer, average: those of a Checkpoint, but each tensor [models, ...]."""

    network: Tensors
    optimizer: State
    average: Tensors

    @classmethod
    def start(cls, configs: Sequence[Config], checkpoints: Sequence[Checkpoint | None]) -> Self:
        """Take what each model's checkpoint holds; without one, what its seed draws.

        Where a checkpoint has an average, models without one have the network's own.
        """
        averaged = any(checkpoint and checkpoint.average for checkpoint in checkpoints)
        networks, states, averages = [], [], []
        for config, checkpoint in zip(configs, checkpoints):
            network = loop.initialized(config).to(loop.DTYPES[config.precision])
            if checkpoint:
                network.load_state_dict(checkpoint.network)
            state = OPTIMIZERS[config.optimizer].start(list(network.parameters()))
            networks.append(network.state_dict())
            states.append(state | (checkpoint.optimizer if checkpoint else {}))
            averages.append(networks[-1] | (checkpoint.average if checkpoint else {}))
        return cls(
            _stack(networks),
            {
                name: [torch.stack(tensors) for tensors in zip(*(state[name] for state in states))]
                for name in states[0]
            },
            _stack(averages) if averaged else {},
        )

    def select(self, models: Sequence[int]) -> Self:
        """Copy the part of these models."""
        rows = list(models)
        return type(self)(
            {name: values[rows] for name, values in self.network.items()},
            {name: [t[rows] for t in tensors] for name, tensors in self.optimizer.items()},
            {name: values[rows] for name, values in self.average.items()},
        )


def _stack(models: Sequence[Tensors]) -> Tensors:
    return {name: torch.stack([model[name] for model in models]) for name in models[0]}
