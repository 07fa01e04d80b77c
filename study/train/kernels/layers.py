"""The layers of a pack's network as its kernels see them, read off the modules of blocks.py.

So an architecture is described once; what the modules hold that no kernel does is found here.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from study.train import norms
from study.train.blocks import Block, Network
from study.train.dropout import Dropouts


@dataclass(eq=False)
class Layer:
    """A block of the network, with the pool behind it.

    unit: what its norm takes a mean over: "model", "image", or "none" without a norm. affine:
    "channel", "element" or "none". relu: "before" the norm (or without a norm), "after" it, or "".
    skip: the value that a later layer adds: "y" (the convolution's output, with the ReLU before
    the norm), "z" (before dropout), "x" (the output), or "" for none. adds: the layer whose skip
    this one adds. at, affine_at: where its parameters begin in a model's row.
    """

    number: int
    inputs: int
    channels: int
    side_in: int
    side: int
    kernel: int
    padding: int
    bias: bool
    at: int
    norm: Any = None
    unit: str = "none"
    groups: int = 1
    affine: str = "none"
    affine_at: int = 0
    relu: str = ""
    dropout: Dropouts | None = None
    pool: bool = False
    skip: str = ""
    adds: "Layer | None" = None

    @property
    def values(self) -> int:
        """The values of its map of one image."""
        return self.channels * self.side**2

    @property
    def pooled_values(self) -> int:
        """Those of the map behind its max-pool."""
        return self.channels * (self.side // 2) ** 2

    @property
    def activates(self) -> bool:
        """Whether it is more than a convolution and a ReLU."""
        return self.unit != "none" or self.dropout is not None

    @property
    def drop(self) -> str:
        """What its dropout drops: "values", "channels", or "" without dropout."""
        if self.dropout is None:
            return ""
        return "channels" if self.dropout.whole_channels else "values"

    @property
    def shape(self) -> dict[str, int]:
        """The shape of its convolution, as constants of a kernel."""
        return {
            "INPUTS": self.inputs,
            "OUTPUTS": self.channels,
            "SIDE": self.side_in,
            "OUT": self.side,
            "KERNEL": self.kernel,
            "PADDING": self.padding,
        }

    @property
    def through(self) -> dict[str, Any]:
        """The constants of activation.through: how to go back from the output to the norm's, or,
        without a norm, to the convolution's."""
        alone = self.unit == "none"
        return {
            "UNIT": self.unit,
            "RELU": self.relu == "after" or (alone and self.relu == "before"),
            "DROP": self.drop,
            "SKIP": "z" if alone and self.skip == "y" else self.skip.replace("y", ""),
            "ELEMENT": self.affine == "element",
        }


def read_layers(network: Network, models: int) -> list[Layer] | None:
    """Read the layers off a network of so many copies; None where it has what no kernel does.

    That is a module or an option of one that neither blocks.Network nor norms.build makes today,
    dropout before a norm, a pool that follows no block or stands last, a skip that two blocks add.
    """
    places, at = {}, 0  # of each parameter in a model's row
    for parameter in network.parameters():
        places[id(parameter)] = at
        at += parameter.numel() // models
    layers: list[Layer] = []
    saved: Layer | None = None
    side = network.img_size
    for number, (spec, module) in enumerate(zip(network.architecture.blocks, network.features)):
        if isinstance(module, nn.MaxPool2d):
            window = module.kernel_size, module.stride, module.padding, module.dilation
            if window != (2, 2, 0, 1) or module.ceil_mode or not layers or layers[-1].pool:
                return None
            layers[-1].pool = True
            side //= 2
            continue
        if not isinstance(module, Block):
            return None
        layer = _read_block(number, module, side, places, models)
        if layer is None:
            return None
        if saved and getattr(spec, "add_skip", False):
            if saved.skip:
                return None
            layer.adds, saved.skip = saved, _skipped(network.features[saved.number])
        if getattr(spec, "save_skip", False):
            saved = layer
        layers.append(layer)
        side = layer.side
    if not layers or layers[-1].pool or network.pool.output_size != 1:
        return None
    return layers if _is_plain(network.head, models) else None


def _is_plain(conv: nn.Conv2d, models: int) -> bool:
    """Whether a convolution of so many copies has no other option than its channels, one kernel
    size, one padding by zeros and a bias."""
    plain = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size[0],
        padding=conv.padding[0], groups=models, device="meta",
    )  # fmt: skip
    options = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return all(getattr(conv, name) == getattr(plain, name) for name in options)


def _read_block(
    number: int, block: Block, side: int, places: dict[int, int], models: int
) -> Layer | None:
    conv = block.conv
    layer = Layer(
        number,
        inputs=conv.in_channels // models,
        channels=conv.out_channels // models,
        side_in=side,
        side=block.side,
        kernel=conv.kernel_size[0],
        padding=int(conv.padding[0]),
        bias=conv.bias is not None,
        at=places[id(conv.weight)],
    )
    if not _is_plain(conv, models):
        return None
    for name in block.after:
        module = getattr(block, name)
        if isinstance(module, nn.ReLU):
            layer.relu = "before" if layer.unit == "none" else "after"
        elif isinstance(module, Dropouts):
            layer.dropout = module
        elif not isinstance(module, nn.Identity):
            if layer.dropout or not _read_norm(layer, module, models):
                return None
            if layer.affine != "none":
                layer.affine_at = places[id(module.weight)]
    return layer


def _read_norm(layer: Layer, norm: Any, models: int) -> bool:
    """Note a norm in its layer; return whether the kernels know it."""
    layer.norm, layer.unit = norm, "image"
    kind, affine = type(norm), "channel"
    if kind is norms.BatchNorm2d:
        layer.unit, layer.groups = "model", layer.channels
    elif kind is nn.GroupNorm:
        layer.groups = norm.num_groups // models
    elif kind in (nn.LayerNorm, norms.ElementwiseLayerNorms):
        affine = "element"
    else:
        return False
    layer.affine = "none" if norm.weight is None else affine
    return True


def _skipped(block: Any) -> str:
    """Return which value a block gives as activated: see Layer.skip."""
    order = [name for name in block.after if not isinstance(getattr(block, name), nn.Identity)]
    before = order[: order.index("relu")] if "relu" in order else []
    return "x" if "dropout" in before else "z" if "norm" in before else "y"
