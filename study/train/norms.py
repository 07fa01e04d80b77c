"""Batch, layer, group and instance normalization, and none, from one function."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study.config import Refused


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
        Refused: affine="element" with another norm than layer, or without the map's size.
    """
    if affine == "element":
        if norm != "layer" or size is None:
            raise Refused("norm_affine=element: needs norm=layer and a network of fixed map sizes")
        shape = [channels, *size]
        return nn.LayerNorm(shape) if copies == 1 else ElementwiseLayerNorms(copies, shape)
    scaled = affine == "channel"
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(copies * channels, affine=scaled)
    parts = {"layer": 1, "group": largest_divisor(channels, groups), "instance": channels}[norm]
    return nn.GroupNorm(copies * parts, copies * channels, affine=scaled)


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
