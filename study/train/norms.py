"""Batch, layer, group and instance normalization, and none, from one function."""

from torch import nn

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
) -> nn.Module:
    """The normalization of a map [N, channels, *size].

    Layer norm is GroupNorm(1, C) (Wu & He 2018, arXiv 1803.08494, section 3.1), so that every norm
    has the same 2C parameters; affine="element" makes it nn.LayerNorm([C, H, W]) instead, with
    2CHW. Instance norm is GroupNorm(C, C).

    Raises:
        Refused: affine="element" with another norm than layer, or without the map's size.
    """
    if affine == "element":
        if norm != "layer" or size is None:
            raise Refused("norm_affine=element: needs norm=layer and a network of fixed map sizes")
        return nn.LayerNorm([channels, *size])
    scaled = affine == "channel"
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels, affine=scaled)
    parts = {"layer": 1, "group": largest_divisor(channels, groups), "instance": channels}[norm]
    return nn.GroupNorm(parts, channels, affine=scaled)
