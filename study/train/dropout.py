"""Dropout, alone and of copies side by side. On a CPU the masks are drawn by cpu_kernels."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study.train import cpu_kernels

BITS = 2**32 - 1
Whole = TypeVar("Whole", int, Tensor)


class Dropout(nn.Dropout):
    """torch's Dropout on [N, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not cpu_kernels.enabled(x.device):
            return F.dropout(x, self.p, self.training, self.inplace)
        return cpu_kernels.dropout(x, self.p, self.inplace)


class Dropout2d(nn.Dropout2d):
    """torch's Dropout2d, which drops whole channels of [N, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not cpu_kernels.enabled(x.device):
            return F.dropout2d(x, self.p, self.training)
        return x * cpu_kernels.dropout_mask(torch.Size((*x.shape[:2], 1, 1)), x.dtype, self.p)


class Dropouts(nn.Module):
    """Dropout of copies side by side, [N, copies * C, H, W], each with its own probability.

    On a CPU copy k draws from `generators[k]` the masks that it would draw alone. Elsewhere it
    drops place i of its own [N, C, H, W], or channel i of its [N, C], where `noise` gives less
    than its threshold there. layer: sets the module's noise apart from that of others.
    """

    thresholds: Tensor
    scales: Tensor

    def __init__(
        self, probabilities: Sequence[float], whole_channels: bool, layer: int = 0
    ) -> None:
        super().__init__()
        self.probabilities, self.whole_channels = tuple(probabilities), whole_channels
        self.layer = layer
        self.generators: Sequence[torch.Generator | None] = [None] * len(self.probabilities)
        self.noise: Noise | None = None
        limits = [min(round(p * 2**32), BITS) for p in self.probabilities]
        scales = [1 / (1 - limit / 2**32) for limit in limits]
        self.register_buffer("thresholds", torch.tensor(limits), persistent=False)
        self.register_buffer("scales", torch.tensor(scales, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        copies = len(self.probabilities)
        n, channels, height, width = x.shape
        size = (1, 1) if self.whole_channels else (height, width)
        shape = torch.Size((n, channels // copies, *size))
        if not cpu_kernels.enabled(x.device):
            assert self.noise is not None
            kept = self.noise.draw(self.layer, shape.numel()) >= self.thresholds.view(-1, 1)
            masks = kept * self.scales.to(x.dtype).view(-1, 1)
            return x * masks.view(copies, *shape).transpose(0, 1).flatten(1, 2)
        return x * torch.cat(
            [
                cpu_kernels.dropout_mask(shape, x.dtype, p, generator)
                for p, generator in zip(self.probabilities, self.generators)
            ],
            1,
        )


class Noise:
    """Random numbers that follow from (key, step, layer, place) alone, for each copy by itself.

    So a model's masks depend neither on its neighbours nor on how it came to this step. The step
    lies on the device, where a CUDA graph reads it anew. kernels/noise.py draws the same, bit for
    bit.

    keys: int64 [copies]; step: int64 [1].
    """

    def __init__(self, keys: Sequence[int], device: torch.device) -> None:
        signed = [key - 2**64 if key >= 2**63 else key for key in keys]
        self.keys = torch.tensor(signed, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)

    def draw(self, layer: int, places: int) -> Tensor:
        """Return 32 random bits for each copy and place, int64 [copies, places].

        The place goes through one scrambling of 32 bits, and each half of it starts from other
        bits of the key, scrambled with step and layer.
        """
        salt = scramble(scramble(self.step) + layer & BITS)
        first = scramble(self.keys & BITS ^ salt).view(-1, 1)
        second = scramble((self.keys >> 32) + salt & BITS).view(-1, 1)
        place = torch.arange(places, device=self.keys.device)
        bits = place * 0x9E3779B1 + first & BITS  # 2^32 by the golden ratio: neighbours far apart
        bits = (bits ^ bits >> 16) * 0x7FEB352D & BITS
        bits = ((bits ^ bits >> 15) + second & BITS) * 0x846CA68B & BITS
        return bits ^ bits >> 16


def scramble(bits: Whole) -> Whole:
    """Map 32 bits to others, each of which depends on all (Wellons 2018, "Prospecting for hash
    functions", lowbias32). A product that passes int64 keeps its low bits."""
    bits = (bits ^ bits >> 16) * 0x7FEB352D & BITS
    bits = (bits ^ bits >> 15) * 0x846CA68B & BITS
    return bits ^ bits >> 16
