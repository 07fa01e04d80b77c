"""Batch, layer, group and instance normalization, and none, from one function."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from study import datasets
from study.config import Config
from study.errors import UsageError

SMALL = 2**18  # values of a map, up to which torch's own batch norm is as fast on a CPU


def largest_divisor(channels: int, groups: int) -> int:
    """The largest divisor of `channels` that is at most `groups`: the groups a layer really has."""
    return next(g for g in range(min(groups, channels), 0, -1) if channels % g == 0)


def build(
    norm: str,
    channels: int,
    *,
    groups: int = 4,
    affine: str = "channel",
    size: tuple[int, int] | None = None,
    copies: int = 1,
) -> nn.Module:
    """The normalization of a map [N, channels, *size]; of `copies` such maps side by side, each
    by itself, [N, copies * channels, *size].

    Layer norm is GroupNorm(1, C) (Wu & He 2018, arXiv 1803.08494, section 3.1), so that every norm
    has the same 2C parameters; affine="element" makes it nn.LayerNorm([C, H, W]) instead, with
    2CHW. Instance norm is GroupNorm(C, C).

    Raises:
        UsageError: affine="element" with another norm than layer, or without the map's size.
    """
    if affine == "element":
        if norm != "layer" or size is None:
            raise UsageError(
                "norm_affine=element: needs norm=layer and a network of fixed map sizes"
            )
        shape = [channels, *size]
        return nn.LayerNorm(shape) if copies == 1 else ElementwiseLayerNorms(copies, shape)
    scaled = affine == "channel"
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return BatchNorm2d(copies * channels, affine=scaled)
    parts = {"layer": 1, "group": largest_divisor(channels, groups), "instance": channels}[norm]
    return nn.GroupNorm(copies * parts, copies * channels, affine=scaled)


def check_map(config: Config, layer: str, norm: nn.Module, shape: Sequence[int]) -> None:
    """Refuse a norm of maps [C, H, W] that takes the mean of a single value, and so gives 0.

    Raises:
        UsageError: it names the network and the layer.
    """
    channels, height, width = shape
    where = f"{layer} of network={config.network} has maps of {height}x{width} here"
    images = datasets.spec(config.dataset).train_images - config.holdout
    alone = 1 in (config.batch_size, images % config.batch_size)
    if isinstance(norm, nn.BatchNorm2d) and alone and height * width == 1:
        raise UsageError(
            f"batch_size={config.batch_size}: of {images:,} images the last batch has one, and"
            f" {where}, a mean over one value"
        )
    if isinstance(norm, nn.GroupNorm) and channels * height * width == norm.num_groups:
        raise UsageError(
            f"norm={config.norm}: {where}, a mean over one value; take norm=batch or layer, or"
            " fewer groups"
        )


class ElementwiseLayerNorms(nn.Module):
    """nn.LayerNorm([C, H, W]) of `copies` maps side by side, [N, copies * C, H, W]."""

    def __init__(self, copies: int, shape: list[int]) -> None:
        super().__init__()
        self.copies, self.shape = copies, shape
        channels, *size = shape
        self.weight = nn.Parameter(torch.ones(copies * channels, *size))
        self.bias = nn.Parameter(torch.zeros(copies * channels, *size))

    def forward(self, x: Tensor) -> Tensor:
        maps = F.layer_norm(x.unflatten(1, (self.copies, self.shape[0])), self.shape)
        return maps.flatten(1, 2) * self.weight + self.bias


class BatchNorm2d(nn.BatchNorm2d):
    """torch's BatchNorm2d; on a CPU, training on large maps in channels_last, faster and nearer to
    the truth."""

    def forward(self, x: Tensor) -> Tensor:
        fast = self.training and x.device.type == "cpu" and x.dtype == self.running_mean.dtype
        if not fast or x.numel() <= SMALL or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        y, mean, variance = _BatchNorm.apply(x, self.weight, self.bias, self.eps)
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return y


class _BatchNorm(torch.autograd.Function):
    """Batch normalization by the statistics of its batch, with its mean and its variance (biased),
    of x [N, C, H, W] in memory as channels_last (Ioffe & Szegedy 2015, arXiv 1502.03167).

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
    """[N, C, H, W] in memory as channels_last, a view [N, H * W * C]."""
    return x.permute(0, 2, 3, 1).view(len(x), -1)


def _row(values: Tensor, x: Tensor) -> Tensor:
    """Of a value a channel, what goes with such a row."""
    return values.repeat(x.shape[2] * x.shape[3])


def _wide(x: Tensor) -> Tensor:
    """[N, C, H, W] in memory as channels_last, a view [N, W * C, H, 1] in the same layout."""
    n, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(n, height, 1, width * channels).permute(0, 3, 1, 2)
