"""Images and weights on which two ways of one computation agree on any processor.

Equal activations in a max-pool's window, and weights whose sign is that of a rounding error, make
a gradient depend on the order in which a processor adds up: scanned digits have large areas of one
value, and a bias before a batch norm has a gradient of 0 but for rounding. So the images here have
seeded noise in every pixel, and no weight starts at 0.
"""

import functools
import math

import numpy as np
import torch

from study.config import Config
from study.train import data, loop


def images(tied: np.ndarray, seed: int = 0) -> np.ndarray:
    """Squeeze images uint8 [N, C, H, W] into three quarters of their range, and add noise of the
    last quarter."""
    noise = np.random.RandomState(seed).randint(0, 64, tied.shape)
    return (tied.astype(np.int64) * 3 // 4 + noise).astype(np.uint8)


@functools.cache
def digits(name: str, read=data.read) -> tuple[data.Split, data.Split]:
    """Read the digits as data.read does, without ties."""
    assert name == "digits"
    return tuple(data.Split(images(part.images), part.labels) for part in read(name))


def initialized(config: Config, build=loop.initialized) -> torch.nn.Module:
    """Build the network with weights values by numpy: the same to the bit on any processor (torch's
    differ in the last digit), none of them 0."""
    network, random = build(config), np.random.RandomState(config.seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            values = random.rand(*parameter.shape)
            if parameter.dim() == 4:
                values = (2 * values - 1) / math.sqrt(parameter[0].numel())
            else:
                values = values * 0.1 + (1 if name.endswith("weight") else 0.01)
            parameter.copy_(torch.from_numpy(values))
    return network
