"""Dropout whose masks cost little on a CPU, where torch's are a third of a small network's step."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def dropped(count: int, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Which of `count` values are dropped, each with probability p: their places, int64, ascending.

    From one to the next it is a geometric number of places, floor(E / -log(1 - p)) + 1 with E
    exponential (Devroye 1986, Non-Uniform Random Variate Generation, X.2): a draw for each value
    dropped, not for each value. Drawn by numpy's SFC64, itself seeded from torch's generator (the
    global one unless given), so that it follows torch.manual_seed like any other module's noise.
    """
    seed = torch.empty((), dtype=torch.int64).random_(generator=generator).item()
    draw = np.random.Generator(np.random.SFC64(seed)).standard_exponential
    size = math.ceil(count * p + 6 * math.sqrt(count * p)) + 1  # seldom too few
    places, last = [], -1
    while last < count:
        gaps = draw(size, np.float32)
        gaps *= -1 / math.log1p(-p)
        steps = gaps.astype(np.int64)
        steps += 1
        steps[0] += last
        places.append(np.cumsum(steps, out=steps))
        last = steps[-1]
    found = np.concatenate(places) if len(places) > 1 else places[0]
    return torch.from_numpy(found[: np.searchsorted(found, count)])


def _in_memory(x: Tensor) -> Tensor:
    """The values of [N, C, H, W] in memory as channels_last, a view [N * H * W * C]."""
    return x.permute(0, 2, 3, 1).view(-1)


class _Drop(torch.autograd.Function):
    """x / (1 - p), with zeros at `places` of its memory as channels_last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, p: float, inplace: bool) -> Tensor:
        ctx.save_for_backward(places)
        ctx.scale = 1 / (1 - p)
        if inplace:
            ctx.mark_dirty(x)
        y = x.mul_(ctx.scale) if inplace else x * ctx.scale
        _in_memory(y).index_fill_(0, places, 0)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = (gradient * ctx.scale).contiguous(memory_format=torch.channels_last)
        _in_memory(gradient).index_fill_(0, *ctx.saved_tensors, 0)
        return gradient, None, None, None


class Dropout(nn.Dropout):
    """torch's Dropout on [N, C, H, W], by `dropped` on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return F.dropout(x, self.p, self.training, self.inplace)
        x = x.contiguous(memory_format=torch.channels_last)
        return _Drop.apply(x, dropped(x.numel(), self.p), self.p, self.inplace)


class Dropout2d(nn.Dropout2d):
    """torch's Dropout2d, which drops whole channels, by `dropped` on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return F.dropout2d(x, self.p, self.training)
        return x * _mask(torch.Size((*x.shape[:2], 1, 1)), x.dtype, self.p)


def _mask(
    shape: torch.Size, dtype: torch.dtype, p: float, generator: torch.Generator | None = None
) -> Tensor:
    """[N, C, H, W] in memory as channels_last: 0 where dropped, else 1 / (1 - p)."""
    n, channels, height, width = shape
    mask = torch.full((n, height, width, channels), 1 / (1 - p), dtype=dtype)
    if p:
        mask.view(-1).index_fill_(0, dropped(shape.numel(), p, generator), 0)
    return mask.permute(0, 3, 1, 2)


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
        if x.device.type != "cpu":
            p = self.p.repeat_interleave(each).view(1, -1, 1, 1)
            kept = torch.rand(n, channels, *size, device=x.device) >= p
            return x * kept * (1 / (1 - p)).to(x.dtype)
        shape = torch.Size((n, each, *size))
        own = zip(self.probabilities, self.generators)
        return x * torch.cat([_mask(shape, x.dtype, *one) for one in own], 1)
