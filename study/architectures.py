"""The networks, published and ours, each a list of blocks. (No torch: Config reads it.)"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """A convolution to `channels`, with the norm, activation and dropout of its network unless
    `bare`.

    `depthwise`: each channel is convolved by itself, so that there are as many as before.
    `save_skip` saves its output after the activation, and `add_skip` adds it before the norm.
    """

    channels: int
    kernel: int = 3
    bare: bool = False
    depthwise: bool = False
    dropout: bool = True
    save_skip: bool = False
    add_skip: bool = False


@dataclass(frozen=True)
class Pool:
    """A max-pool of 2x2."""


POOL = Pool()


@dataclass(frozen=True)
class Architecture:
    """A network: its blocks, the order within a block, how its convolutions are made.

    size, channels, classes: of the data set it was made for; it takes others. padding: convolutions
    keep a map's size. bias: they have one. whole_channels: dropout drops channels, not values.

    Every network ends in global average pooling and a bare 1x1 convolution to the classes.
    """

    blocks: tuple[Conv | Pool, ...]
    order: tuple[str, ...]
    size: int = 28
    channels: int = 1
    classes: int = 10
    padding: bool = False
    bias: bool = False
    whole_channels: bool = False

    @property
    def smallest(self) -> int:
        """The side of the smallest image that leaves the last block a map."""
        side = 1
        for block in reversed(self.blocks):
            if isinstance(block, Pool):
                side *= 2
            elif not self.padding:
                side += block.kernel - 1
        return side


ARCHITECTURES = {
    "mnist_7684": Architecture(
        (Conv(10), Conv(10), Conv(15), POOL,
         Conv(10, 1), Conv(10), Conv(10), Conv(32)),
        order=("norm", "dropout", "relu"),
    ),
    "mnist_7848": Architecture(  # ours
        (Conv(8), Conv(14), POOL,
         Conv(16), Conv(16), POOL,
         Conv(15)),
        order=("norm", "relu", "dropout"),
    ),
    "mnist_8008": Architecture(
        (Conv(8, dropout=False), Conv(8, dropout=False), Conv(8), POOL,
         Conv(16), Conv(16), Conv(8, 1), Conv(32), Conv(16, 1)),
        order=("norm", "dropout", "relu"),
    ),
    "mnist_9680": Architecture(
        (Conv(16), Conv(16), POOL,
         Conv(16), Conv(16), Conv(16)),
        order=("relu", "norm", "dropout"),
    ),
    "mnist_9802": Architecture(
        (Conv(10), Conv(18), Conv(10, 1, bare=True), POOL,
         Conv(16), Conv(20), Conv(10, 1, bare=True), Conv(32)),
        order=("relu", "norm", "dropout"),
    ),
    "mnist_9965": Architecture(  # ours, as mnist_7848
        (Conv(9), Conv(16), POOL,
         Conv(18), Conv(18), POOL,
         Conv(17)),
        order=("norm", "relu", "dropout"),
    ),
    "cifar_48178": Architecture(
        (Conv(16), Conv(16), Conv(8, 1, bare=True), POOL,
         Conv(32, save_skip=True), Conv(32), Conv(32, add_skip=True), Conv(16, 1, bare=True), POOL,
         Conv(32, save_skip=True), Conv(32), Conv(32, add_skip=True)),
        order=("norm", "relu", "dropout"),
        size=32, channels=3, padding=True, bias=True, whole_channels=True,
    ),
    # Ours: a 3x3 convolution in two, as MobileNets do (arXiv 1704.04861).
    "cifar_45808": Architecture(
        (Conv(24), Conv(24, depthwise=True), POOL,
         Conv(64, 1, save_skip=True),
         Conv(64, depthwise=True), Conv(64, 1, add_skip=True, save_skip=True),
         Conv(64, depthwise=True), Conv(64, 1, add_skip=True, save_skip=True),
         Conv(64, depthwise=True), Conv(64, 1, add_skip=True), POOL,
         Conv(80, 1, save_skip=True),
         Conv(80, depthwise=True), Conv(80, 1, add_skip=True, save_skip=True),
         Conv(80, depthwise=True), Conv(80, 1, add_skip=True, save_skip=True),
         Conv(80, depthwise=True), Conv(80, 1, add_skip=True)),
        order=("norm", "relu", "dropout"),
        size=32, channels=3, padding=True,
    ),
}  # fmt: skip
