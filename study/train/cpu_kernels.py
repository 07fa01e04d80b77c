"""Batch norm and dropout on a CPU, in place of torch's own.

Torch's are a poor fit for networks of ten channels: its batch norm goes through a map ten values at
a time, and its dropout draws a number for each value, a third of a step. Here batch norm does the
same arithmetic on wide rows, and dropout draws a number for each value that it drops.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ENABLED = True  # False: torch's own also on a CPU; masks then differ, as on a GPU
LARGE_MAP = 2**18  # values; torch's batch norm is as fast on maps up to this size


def enabled(device: torch.device) -> bool:
    """Whether these kernels are used on a device."""
    return ENABLED and device.type == "cpu"


def name(device: torch.device) -> str:
    """Return what a summary calls the kernels of batch norm and dropout on a device."""
    return "cpu_kernels" if enabled(device) else "torch"


def suits_batch_norm(x: Tensor, dtype: torch.dtype) -> bool:
    """Whether `batch_norm` takes x [N, C, H, W], with statistics of that dtype, and is faster."""
    return (
        enabled(x.device)
        and x.dtype == dtype
        and x.numel() > LARGE_MAP
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize x by the statistics of its batch; return also its mean and variance (biased), [C].

    x: [N, C, H, W] in memory as channels_last; weight, bias: [C], or None. Sums are shorter than
    torch's, and so nearer to the truth.
    """
    return _BatchNorm.apply(x, weight, bias, eps)


class _BatchNorm(torch.autograd.Function):
    """Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167), see `batch_norm`.

    torch's own kernels go through such a map C values at a time, ten in our networks, and sum
    each channel in one go. Here a row of the map counts as W * C channels, whose sums are then
    summed: kernels get wide rows, sums are short.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels = x.shape[1]
        means, variances = torch.batch_norm_update_stats(_wide(x), None, None, 0.0)
        means, variances = means.view(-1, channels), variances.view(-1, channels)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
        y = torch.empty_like(x)
        torch.addcmul(_row(shift, x), _rows(x), _row(scale, x), out=_rows(y))
        ctx.save_for_backward(x, mean, variance, scale)
        ctx.eps, ctx.affine = eps, weight is not None
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, variance, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        width, count = x.shape[3], x.numel() // x.shape[1]
        sums = torch.ops.aten.native_batch_norm_backward(
            _wide(gradient), _wide(x), None, mean.repeat(width), variance.repeat(width),
            None, None, False, ctx.eps, [False, True, True],
        )  # fmt: skip
        to_weight, to_bias = (part.view(width, -1).sum(0) for part in sums[1:])
        to_x = None
        if ctx.needs_input_grad[0]:
            # scale * (gradient - its mean - normalized x * the mean of their product)
            slope = -scale * (variance + ctx.eps).rsqrt() * to_weight / count
            shift = -scale * to_bias / count - slope * mean
            to_x = torch.empty_like(x)
            out = _rows(to_x)
            torch.addcmul(_row(shift, x), _rows(gradient), _row(scale, x), out=out)
            out.addcmul_(_rows(x), _row(slope, x))
        return to_x, *((to_weight, to_bias) if ctx.affine else (None, None)), None


def _rows(x: Tensor) -> Tensor:
    """View [N, C, H, W], in memory as channels_last, as [N, H * W * C]."""
    return x.permute(0, 2, 3, 1).view(len(x), -1)


def _row(values: Tensor, x: Tensor) -> Tensor:
    """Repeat a value a channel [C] along such a row, [H * W * C]."""
    return values.repeat(x.shape[2] * x.shape[3])


def _wide(x: Tensor) -> Tensor:
    """View [N, C, H, W], in memory as channels_last, as [N, W * C, H, 1] in the same layout."""
    n, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(n, height, 1, width * channels).permute(0, 3, 1, 2)


def dropout(x: Tensor, p: float, inplace: bool) -> Tensor:
    """Set each value of x [N, C, H, W] to 0 with probability p, and divide the others by 1 - p."""
    x = x.contiguous(memory_format=torch.channels_last)
    return _Dropout.apply(x, dropped(x.numel(), p), p, inplace)


def dropout_mask(
    shape: torch.Size, dtype: torch.dtype, p: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draw a mask [N, C, H, W] in memory as channels_last: 0 where dropped, else 1 / (1 - p)."""
    n, channels, height, width = shape
    mask = torch.full((n, height, width, channels), 1 / (1 - p), dtype=dtype)
    if p:
        mask.view(-1).index_fill_(0, dropped(shape.numel(), p, generator), 0)
    return mask.permute(0, 3, 1, 2)


def dropped(count: int, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw which of `count` values are dropped, each with probability p: int64, ascending.

    From one to the next it is a geometric number of places, floor(E / -log(1 - p)) + 1 with E
    exponential (Devroye 1986, Non-Uniform Random Variate Generation, X.2): a draw for each value
    dropped, not for each value. Drawn by numpy's SFC64, itself seeded from torch's generator (the
    global one unless given), so that it follows torch.manual_seed like any other module's noise.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    draw = np.random.Generator(np.random.SFC64(seed)).standard_exponential
    size = math.ceil(count * p + 6 * math.sqrt(count * p)) + 1  # seldom too few
    chunks, last = [], -1
    while last < count:
        gaps = draw(size, np.float32)
        gaps *= -1 / math.log1p(-p)
        np.minimum(gaps, count, out=gaps)  # past the end already; where p is tiny, past an int64
        steps = gaps.astype(np.int64)
        steps += 1
        steps[0] += last
        chunks.append(np.cumsum(steps, out=steps))
        last = steps[-1]
    places = np.concatenate(chunks) if len(chunks) > 1 else chunks[0]
    return torch.from_numpy(places[: np.searchsorted(places, count)])


class _Dropout(torch.autograd.Function):
    """x / (1 - p), with zeros at `places` of its memory as channels_last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, p: float, inplace: bool) -> Tensor:
        ctx.save_for_backward(places)
        ctx.scale = 1 / (1 - p)
        if inplace:
            ctx.mark_dirty(x)
        y = x.mul_(ctx.scale) if inplace else x * ctx.scale
        _rows(y).view(-1).index_fill_(0, places, 0)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = (gradient * ctx.scale).contiguous(memory_format=torch.channels_last)
        [places] = ctx.saved_tensors
        _rows(gradient).view(-1).index_fill_(0, places, 0)
        return gradient, None, None, None
