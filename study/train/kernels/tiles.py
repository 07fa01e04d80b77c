"""What a program of a kernel takes at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tiles:
    """The most that a program takes: pixels, terms of a product's sum (depth), weights of (input,
    tap), channels; values of a map; images; channels of a norm. least: of the sides of a product,
    as tensor cores have it."""

    pixels: int = 64
    depth: int = 32
    weights: int = 32
    channels: int = 64
    values: int = 1024
    images: int = 128
    norm: int = 16
    least: int = 16

    def of_channels(self, channels: int) -> int:
        """Return the tile of a layer's channels."""
        return power(channels, self.least, self.channels)

    def of_pixels(self, side: int) -> int:
        """Return the tile of the pixels of a square map."""
        return power(side**2, self.least, self.pixels)

    def of_depth(self, terms: int) -> int:
        """Return the tile of the terms of a product's sum."""
        return power(terms, self.least, self.depth)

    def of_weights(self, terms: int) -> int:
        """Return the tile of a channel's weights."""
        return power(terms, self.least, self.weights)


# On an H200 larger tiles were slower in float32. Of float64 a product's terms are in registers.
TILES = {
    "float32": Tiles(),
    "bfloat16": Tiles(),
    "float64": Tiles(pixels=16, depth=4, weights=4, channels=16, least=1),
}


def power(number: int, least: int = 1, most: int = 2**20) -> int:
    """Return the power of two from `number` up, within limits."""
    return max(least, min(most, 1 << (number - 1).bit_length()))
