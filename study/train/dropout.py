"""Dropout whose masks cost little on a CPU, where torch's are a third of a small network's step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 2**16  # an activation is kept by 16 random bits: p is rounded to 1/65536


def keep(shape: torch.Size, p: float, generator: torch.Generator | None = None) -> Tensor:
    """A mask, bool [N, C, H, W] in memory as channels_last, each True with probability 1 - p.

    Drawn from raw random bytes of numpy's SFC64, itself seeded from torch's generator (the global
    one unless given), so that it follows torch.manual_seed like any other module's noise.
    """
    n, channels, height, width = shape
    seed = torch.empty((), dtype=torch.int64).random_(generator=generator).item()
    count = shape.numel()
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    bits = torch.from_numpy(words.view(np.int16)[:count])
    mask = bits >= round(p * LEVELS) - LEVELS // 2
    return mask.view(n, height, width, channels).permute(0, 3, 1, 2)


def _drop(x: Tensor, shape: torch.Size, p: float) -> Tensor:
    return x * keep(shape, p).to(x.dtype).mul_(1 / (1 - p))


class Dropout(nn.Dropout):
    """torch's Dropout on [N, C, H, W], with `keep`'s masks on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return F.dropout(x, self.p, self.training)
        return _drop(x, x.shape, self.p)


class Dropout2d(nn.Dropout2d):
    """torch's Dropout2d, which drops whole channels, with `keep`'s masks on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return F.dropout2d(x, self.p, self.training)
        return _drop(x, torch.Size((*x.shape[:2], 1, 1)), self.p)


class Dropouts(nn.Module):
    """Dropout of copies side by side, [N, copies * C, H, W], each with its own probability.

    On a CPU copy k draws from `generators[k]` the masks that it would draw alone; elsewhere all
    draw at once from the device's generator.
    """

    def __init__(self, probabilities: Sequence[float], whole_channels: bool) -> None:
        super().__init__()
        self.probabilities, self.whole_channels = tuple(probabilities), whole_channels
        self.generators: Sequence[torch.Generator | None] = [None] * len(self.probabilities)
        p = torch.tensor(self.probabilities)
        self.register_buffer("p", p, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        n, channels, height, width = x.shape
        size = (1, 1) if self.whole_channels else (height, width)
        each = channels // len(self.probabilities)
        scale = (1 / (1 - self.p)).repeat_interleave(each).view(1, -1, 1, 1).to(x.dtype)
        if x.device.type != "cpu":
            p = self.p.repeat_interleave(each).view(1, -1, 1, 1)
            return x * (torch.rand(n, channels, *size, device=x.device) >= p) * scale
        shape = torch.Size((n, each, *size))
        kept = [
            keep(shape, p, generator) if p else torch.ones(shape, dtype=torch.bool)
            for p, generator in zip(self.probabilities, self.generators)
        ]
        return x * torch.cat(kept, 1).to(x.dtype).mul_(scale)
