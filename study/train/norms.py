"""Batch, layer, group and instance normalization, and none, from one function."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study import datasets
from study.config import Config, largest_divisor
from study.errors import UsageError
from study.train import cpu_kernels


def build(
    norm: str,
    channels: int,
    *,
    groups: int = 4,
    affine: str = "channel",
    size: tuple[int, int] | None = None,
    copies: int = 1,
) -> nn.Module:
    """Build the normalization of a map [N, channels, *size], or of `copies` such maps side by side,
    each by itself, [N, copies * channels, *size].

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


def has_batch_of_one(config: Config) -> bool:
    """Whether a batch of an epoch has a single image."""
    return 1 in (config.batch_size, _count_images(config) % config.batch_size)


def _count_images(config: Config) -> int:
    return datasets.spec(config.dataset).train_images - config.holdout


def check_map(config: Config, layer: str, norm: nn.Module, shape: Sequence[int]) -> None:
    """Refuse a norm of maps [C, H, W] that takes the mean of a single value, and so gives 0.

    Raises:
        UsageError: it names the network and the layer.
    """
    channels, height, width = shape
    where = f"{layer} of network={config.network} has maps of {height}x{width} here"
    if isinstance(norm, nn.BatchNorm2d) and has_batch_of_one(config) and height * width == 1:
        images = _count_images(config)
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
        self.copies, self.shape, self.eps = copies, shape, 1e-5
        channels, *size = shape
        self.weight = nn.Parameter(torch.ones(copies * channels, *size))
        self.bias = nn.Parameter(torch.zeros(copies * channels, *size))

    def forward(self, x: Tensor) -> Tensor:
        maps = F.layer_norm(x.unflatten(1, (self.copies, self.shape[0])), self.shape, eps=self.eps)
        return maps.flatten(1, 2) * self.weight + self.bias


class BatchNorm2d(nn.BatchNorm2d):
    """torch's BatchNorm2d, by cpu_kernels where that is faster."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and cpu_kernels.suits_batch_norm(x, self.running_mean.dtype)):
            return super().forward(x)
        y, mean, variance = cpu_kernels.batch_norm(x, self.weight, self.bias, self.eps)
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return y
