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


def images(wanted: np.ndarray, seed: int = 0) -> np.ndarray:
    """The images [N, C, H, W] in three quarters of their range, noise in the last quarter."""
    noise = np.random.RandomState(seed).randint(0, 64, wanted.shape)
    return (wanted.astype(np.int64) * 3 // 4 + noise).astype(np.uint8)


@functools.cache
def digits(name: str, read=data.read) -> tuple[data.Split, data.Split]:
    """What data.read gives, without ties."""
    assert name == "digits"
    return tuple(data.Split(images(part.images), part.labels) for part in read(name))


def initialized(config: Config, build=loop.initialized) -> torch.nn.Module:
    """The network with weights drawn by numpy, the same to the bit on any processor (torch's own
    differ in the last digit), none of them 0."""
    network, random = build(config), np.random.RandomState(config.seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            drawn = random.rand(*parameter.shape)
            if parameter.dim() == 4:
                drawn = (2 * drawn - 1) / math.sqrt(parameter[0].numel())
            else:
                drawn = drawn * 0.1 + (1 if name.endswith("weight") else 0.01)
            parameter.copy_(torch.from_numpy(drawn))
    return network
