"""The small networks of the published studies, each a list of blocks."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.config import CLASSES, Config, Refused
from study.train import norms
from study.train.dropout import Dropout, Dropout2d, Dropouts

INPUTS = {
    "digits": (1, 28, 28),
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
MEGABYTE = 1e6
# The fields of a configuration that its layers follow from.
SHAPING = ("dataset", "network", "norm", "groups", "norm_affine", "dropout")


@dataclass(frozen=True)
class Conv:
    """A convolution to `channels`, with the plan's norm, activation and dropout unless `bare`.

    `keep` holds its output after the activation, and `add` adds the one held before its norm.
    """

    channels: int
    kernel: int = 3
    bare: bool = False
    dropout: bool = True
    keep: bool = False
    add: bool = False


POOL = "pool"  # max-pool 2


@dataclass(frozen=True)
class Plan:
    """A network: its blocks, the order within a block, how its convolutions are made.

    Every network ends in global average pooling and a bare 1x1 convolution to the classes.
    """

    blocks: tuple[Conv | str, ...]
    order: tuple[str, ...]
    size: int = 28
    channels: int = 1
    padding: bool = False
    bias: bool = False
    dropout: type[nn.Module] = Dropout

    def make_dropout(self, p: float | Sequence[float], norm: str) -> nn.Module | None:
        """Its dropout with one probability, or with one a copy; None where nothing is dropped."""
        if isinstance(p, (int, float)):
            # A norm needs its output no more; a ReLU does, also behind no norm.
            behind_norm = self.order[self.order.index("dropout") - 1] == "norm" and norm != "none"
            return self.dropout(p, inplace=behind_norm) if p else None
        return Dropouts(p, self.dropout is Dropout2d) if any(p) else None


PLANS = {
    "mnist_7684": Plan(
        (Conv(10), Conv(10), Conv(15), POOL,
         Conv(10, 1), Conv(10), Conv(10), Conv(32)),
        order=("norm", "dropout", "relu"),
    ),
    "mnist_8008": Plan(
        (Conv(8, dropout=False), Conv(8, dropout=False), Conv(8), POOL,
         Conv(16), Conv(16), Conv(8, 1), Conv(32), Conv(16, 1)),
        order=("norm", "dropout", "relu"),
    ),
    "mnist_9680": Plan(
        (Conv(16), Conv(16), POOL,
         Conv(16), Conv(16), Conv(16)),
        order=("relu", "norm", "dropout"),
    ),
    "mnist_9802": Plan(
        (Conv(10), Conv(18), Conv(10, 1, bare=True), POOL,
         Conv(16), Conv(20), Conv(10, 1, bare=True), Conv(32)),
        order=("relu", "norm", "dropout"),
    ),
    "cifar_48178": Plan(
        (Conv(16), Conv(16), Conv(8, 1, bare=True), POOL,
         Conv(32, keep=True), Conv(32), Conv(32, add=True), Conv(16, 1, bare=True), POOL,
         Conv(32, keep=True), Conv(32), Conv(32, add=True)),
        order=("norm", "relu", "dropout"),
        size=32, channels=3, padding=True, bias=True, dropout=Dropout2d,
    ),
}  # fmt: skip


class Block(nn.Module):
    """A convolution and what follows it, in the plan's order."""

    def __init__(self, conv: nn.Conv2d, after: dict[str, nn.Module]) -> None:
        super().__init__()
        self.conv = conv
        for name, module in after.items():
            self.add_module(name, module)
        self.after = tuple(after)

    def forward(self, x: Tensor, held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[N, C, H, W], and what to add before the norm -> the output, and it after the ReLU."""
        x = self.conv(x)
        if held is not None:
            x = x + held
        activated = x
        for name in self.after:
            x = getattr(self, name)(x)
            if name == "relu":
                activated = x
        return x, activated


class Network(nn.Module):
    """A plan, built: images [N, channels, size, size] to logits [N, classes].

    With `copies`, as many networks side by side, none seeing another: images [N, copies *
    channels, size, size] to logits [N, copies * classes], every parameter and buffer those of
    the single networks one after the other along its first axis. `dropout` is then one
    probability a copy.

    Raises:
        Refused: the images are too small, or a norm that cannot be (see norms.build).
    """

    def __init__(
        self,
        plan: Plan,
        *,
        norm: str = "batch",
        groups: int = 4,
        norm_affine: str = "channel",
        dropout: float | Sequence[float] = 0.0,
        num_classes: int = CLASSES,
        in_chans: int | None = None,
        img_size: int | None = None,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.plan = plan
        self.features = nn.ModuleList()
        channels, size = in_chans or plan.channels, img_size or plan.size
        for spec in plan.blocks:
            if spec == POOL:
                self.features.append(nn.MaxPool2d(2))
                size //= 2
                continue
            padding = spec.kernel // 2 if plan.padding else 0
            conv = nn.Conv2d(
                copies * channels, copies * spec.channels, spec.kernel,
                padding=padding, bias=plan.bias, groups=copies,
            )  # fmt: skip
            channels, size = spec.channels, size + 2 * padding - spec.kernel + 1
            if size < 1:
                raise Refused(f"img_size={img_size}: too small for this network")
            options = {"groups": groups, "affine": norm_affine, "size": (size, size)}
            after = {
                "norm": norms.build(norm, channels, **options, copies=copies),
                "dropout": plan.make_dropout(dropout, norm) if spec.dropout else None,
                "relu": nn.ReLU(inplace=True),
            }
            order = () if spec.bare else [name for name in plan.order if after[name] is not None]
            self.features.append(Block(conv, {name: after[name] for name in order}))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(
            copies * channels, copies * num_classes, 1, bias=plan.bias, groups=copies
        )

    def forward(self, x: Tensor) -> Tensor:
        held = None
        for spec, module in zip(self.plan.blocks, self.features):
            if spec == POOL:
                x = module(x)
                continue
            x, activated = module(x, held if spec.add else None)
            if spec.keep:
                held = activated
        return self.head(self.pool(x)).flatten(1)


def build(config: Config) -> nn.Module:
    """The network of a configuration, giving logits. Its weights come from torch's generator.

    Raises:
        Refused: a timm backbone that cannot do as asked (see backbones.build).
    """
    if config.network not in PLANS:
        from study.train import backbones  # and timm, whose import takes longer than torch's

        return backbones.build(config, INPUTS[config.dataset])
    return _planned(config, config.dropout)


def build_pack(configs: Sequence[Config]) -> Network:
    """The networks of configurations that differ in dropout alone (as far as a network goes), side
    by side in one; see Network.
    """
    return _planned(configs[0], [config.dropout for config in configs], copies=len(configs))


def _planned(config: Config, dropout: float | Sequence[float], copies: int = 1) -> Network:
    channels, size, _ = INPUTS[config.dataset]
    return Network(
        PLANS[config.network],
        norm=config.norm,
        groups=config.groups,
        norm_affine=config.norm_affine,
        dropout=dropout,
        in_chans=channels,
        img_size=size,
        copies=copies,
    )


def parameter_table(config: Config) -> dict[str, Any]:
    """Layer by layer: name, type, output shape (of one image) and parameters, with totals.

    Sizes in megabytes (10^6 bytes, where torchsummary's have 2^20) for one image in float32:
    activations are every layer's output, twice, for the pass forward and the pass back. The
    receptive field is the side, in pixels, of the square of the image that one value of the output
    sees through convolutions and pooling (norms, which see a whole map, left out); None in a timm
    backbone, whose branches have several.
    """
    return _table(shaping(config))


def shaping(config: Config) -> Config:
    """The settings that make the network what it is; all others at their defaults."""
    return Config(**{name: getattr(config, name) for name in SHAPING})


@functools.lru_cache(maxsize=64)
def _table(config: Config) -> dict[str, Any]:
    network = build(config).eval()
    layers: list[dict[str, Any]] = []
    sees = _ReceptiveField() if isinstance(network, Network) else None

    def note(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
            layers.append(
                {
                    "layer": name,
                    "type": _describe(module),
                    "output": list(output.shape[1:]),
                    "receptive_field": sees and sees.through(module, inputs[0].shape[-1]),
                    "parameters": sum(p.numel() for p in module.parameters()),
                }
            )

        module.register_forward_hook(hook)

    for name, module in network.named_modules():
        if not list(module.children()) and not isinstance(module, nn.Identity):
            note(name, module)
    shape = INPUTS[config.dataset]
    with torch.inference_mode():
        network(torch.zeros(1, *shape))
    total = sum(p.numel() for p in network.parameters())
    activations = sum(math.prod(layer["output"]) for layer in layers)
    return {
        "layers": layers,
        "total": total,
        "input_mb": math.prod(shape) * 4 / MEGABYTE,
        "activations_mb": activations * 4 * 2 / MEGABYTE,
        "parameters_mb": total * 4 / MEGABYTE,
    }


class _ReceptiveField:
    """The receptive field along a chain of layers: r += (kernel - 1) * jump, jump *= stride
    (Araujo et al. 2019, Distill, "Computing receptive fields of convolutional neural networks").
    """

    def __init__(self) -> None:
        self.size, self.jump = 1, 1

    def through(self, module: nn.Module, side: int) -> int:
        """The size behind a layer whose input is a map of that side."""
        kernel, stride = 1, 1
        match module:
            case nn.Conv2d():
                kernel, stride = module.kernel_size[0], module.stride[0]
            case nn.MaxPool2d():
                kernel, stride = module.kernel_size, module.stride
            case nn.AdaptiveAvgPool2d():
                kernel = side
        self.size += (kernel - 1) * self.jump
        self.jump *= stride
        return self.size


def _describe(module: nn.Module) -> str:
    """`Conv2d(10, 10, 3x3)`, `GroupNorm(5, 10)`, ...: the type and what tells it apart."""
    kind = type(module).__name__
    match module:
        case nn.Conv2d():
            height, width = module.kernel_size
            return f"{kind}({module.in_channels}, {module.out_channels}, {height}x{width})"
        case nn.GroupNorm():
            return f"{kind}({module.num_groups}, {module.num_channels})"
        case nn.BatchNorm2d():
            return f"{kind}({module.num_features})"
        case nn.LayerNorm():
            return f"{kind}({', '.join(map(str, module.normalized_shape))})"
        case nn.Dropout() | nn.Dropout2d():
            return f"{kind}({module.p})"
    return kind
