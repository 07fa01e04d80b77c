"""Dropout, alone and of copies side by side. On a CPU the masks are drawn by cpu_kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study.train import cpu_kernels


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

    On a CPU copy k draws from `generators[k]` the masks that it would draw alone; elsewhere all
    draw at once from the device's generator.
    """

    p: Tensor

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
        channels_of_one = channels // len(self.probabilities)
        if not cpu_kernels.enabled(x.device):
            p = self.p.repeat_interleave(channels_of_one).view(1, -1, 1, 1)
            kept = torch.rand(n, channels, *size, device=x.device) >= p
            return x * kept * (1 / (1 - p)).to(x.dtype)
        shape = torch.Size((n, channels_of_one, *size))
        masks = [
            cpu_kernels.dropout_mask(shape, x.dtype, p, generator)
            for p, generator in zip(self.probabilities, self.generators)
        ]
        return x * torch.cat(masks, 1)
