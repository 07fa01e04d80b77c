"""The normalizations computed on batches small enough to read.

A normalization is a choice of which values share a mean and a variance; the rest, (x - mean) /
sqrt(variance + epsilon), then gamma and beta of the channel, is the same in all.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from study.config import largest_divisor

EPSILON = 1e-5  # torch's default in every norm
MOMENTUM = 0.1  # torch's default for BatchNorm's running statistics
# What shares one mean and one variance in each norm.
NORMS = {
    "batch": ("BatchNorm", "shared by a channel of all images"),
    "layer": ("LayerNorm", "shared by all channels of an image"),
    "group": ("GroupNorm", "shared by a group of channels of an image"),
    "instance": ("InstanceNorm", "shared by a channel of an image"),
}
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # of Okabe & Ito's colours


@dataclass(frozen=True)
class Example:
    """A batch: values [N, C, 2, 2], gamma and beta [C], and the groups asked for."""

    name: str
    values: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    groups: int = 2

    @property
    def title(self) -> str:
        images, channels, height, width = self.values.shape
        return f"{images} images of {height}×{width} with {channels} channels"

    @property
    def used_groups(self) -> int:
        return largest_divisor(self.values.shape[1], self.groups)

    def name_of(self, norm: str) -> str:
        """The norm's name, with the number of groups that it uses."""
        name = NORMS[norm][0]
        if norm != "group":
            return name
        less = f", which gives {self.used_groups}" if self.used_groups < self.groups else ""
        return f"{name}, groups={self.groups}{less}"


def _batch(text: str) -> np.ndarray:
    """Values [N, C, 2, 2] from a line an image and a word of four digits a channel."""
    images = [[list(map(int, word)) for word in line.split()] for line in text.splitlines()]
    return np.array(images, dtype=float).reshape(len(images), -1, 2, 2)


EXAMPLES = (
    Example(
        "4x4",
        _batch(
            "1324 5768 2021 9879\n0112 4635 3153 7986\n2534 8697 1402 6858\n3021 6475 0310 8997"
        ),
        gamma=np.array([1, 0.5, 2, 1.5]),
        beta=np.array([0, 1, -1, 0.5]),
    ),
    Example(
        "2x3",
        _batch("1324 5768 9879\n0112 4635 7986"),
        gamma=np.array([1, 0.5, 2]),
        beta=np.array([0, 1, -1]),
    ),
)


class Share(NamedTuple):
    """The images and the channels, as ranges, whose values share one mean and variance."""

    images: range
    channels: range

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its index into an array [N, C, ...]."""
        images, channels = self
        return slice(images.start, images.stop), slice(channels.start, channels.stop)

    def __str__(self) -> str:
        return ", ".join(counted(noun, r) for noun, r in zip(("image", "channel"), self))


def counted(noun: str, numbers: range) -> str:
    """Numbers from 0 as people count: `image 1`, `channels 1–2`."""
    first, last = numbers[0] + 1, numbers[-1] + 1
    return f"{noun} {first}" if first == last else f"{noun}s {first}–{last}"


def shares(norm: str, images: int, channels: int, groups: int) -> list[Share]:
    """Which images and channels of a batch share a mean and a variance in a norm.

    The four are those of Wu & He 2018 (arXiv 1803.08494), figure 2.
    """
    if norm == "batch":
        return [Share(range(images), range(c, c + 1)) for c in range(channels)]
    parts = {"layer": 1, "group": largest_divisor(channels, groups), "instance": channels}
    size = channels // parts[norm]
    return [
        Share(range(i, i + 1), range(first, first + size))
        for i, first in itertools.product(range(images), range(0, channels, size))
    ]


@dataclass(frozen=True)
class Normalized:
    """A norm applied to an example. mean, variance: [shares]; the rest [N, C, 2, 2]."""

    shares: list[Share]
    mean: np.ndarray
    variance: np.ndarray
    normalized: np.ndarray
    output: np.ndarray
    share_of: np.ndarray  # the index of the share that each value is in

    @property
    def colours(self) -> list[str]:
        """A colour a share."""
        columns = len({share.channels for share in self.shares})
        return tints(len(self.shares) // columns, columns)


def normalize(example: Example, norm: str) -> Normalized:
    """Compute mean and variance (divided by n, not n - 1) of each share, and the outputs."""
    x = example.values
    images, channels = x.shape[:2]
    all_shares = shares(norm, images, channels, example.groups)
    mean, variance = np.array([(x[s.slices].mean(), x[s.slices].var()) for s in all_shares]).T
    share_of = np.empty(x.shape, int)
    for k, share in enumerate(all_shares):
        share_of[share.slices] = k
    normalized = (x - mean[share_of]) / np.sqrt(variance[share_of] + EPSILON)
    gamma, beta = (v[:, None, None] for v in (example.gamma, example.beta))
    return Normalized(all_shares, mean, variance, normalized, gamma * normalized + beta, share_of)


def tints(rows: int, columns: int) -> list[str]:
    """Colours of shares laid out in rows and columns, as #rrggbb, row by row.

    Hues that colour-blind readers tell apart go with the columns (with the rows where there is one
    column), and neighbours differ in lightness too, so that a grey print tells them apart. All are
    pale enough for black text.
    """
    lightness = np.linspace(66, 90, max(rows, columns))
    return [
        _tint(HUES[(c if columns > 1 else r) % len(HUES)], lightness[(r + c) % len(lightness)])
        for r, c in itertools.product(range(rows), range(columns))
    ]


def _tint(hue: str, lightness: float) -> str:
    """The hue mixed with white, in linear light, to a CIE lightness L* (62 to 100)."""
    linear = np.array([(c / 12.92, ((c + 0.055) / 1.055) ** 2.4)[c > 0.04045] for c in to_rgb(hue)])
    white = ((lightness + 16) / 116) ** 3  # the luminance aimed at, 1 for white
    mixed = 1 - (1 - white) / (1 - linear @ (0.2126, 0.7152, 0.0722)) * (1 - linear)
    red, green, blue = np.where(
        mixed > 0.0031308, 1.055 * mixed.clip(0) ** (1 / 2.4) - 0.055, 12.92 * mixed
    )
    return to_hex((red, green, blue))
