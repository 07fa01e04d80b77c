"""The network of a configuration, and its table of layers."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from study import datasets
from study.architectures import ARCHITECTURES
from study.config import FIELDS, Config
from study.datasets import DatasetSpec
from study.errors import Faults, UsageError
from study.train import norms
from study.train.blocks import Block, Network

MEGABYTE = 1e6


def build(config: Config) -> nn.Module:
    """Build the network of a configuration, which gives logits. Its weights are drawn from torch's
    generator.

    Raises:
        UsageError: the images are too small for the network, it has more parameters than allowed,
            or a timm backbone cannot do as asked (see backbones.build).
    """
    if config.network in ARCHITECTURES:
        network: nn.Module = _from_architecture(config, config.dropout)
    else:
        from study.train import backbones  # lazily: timm's import takes longer than torch's

        network = backbones.build(config)
    config.check_parameters(count_parameters(network))
    return network


def build_pack(configs: Sequence[Config]) -> Network:
    """Build one network of several side by side (see Network), of configurations whose networks
    differ in nothing but dropout.

    Raises:
        UsageError: as build.
    """
    network = _from_architecture(
        configs[0], [config.dropout for config in configs], copies=len(configs)
    )
    for config in configs:
        config.check_parameters(count_parameters(network) // len(configs))
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of a network's trained parameters."""
    return sum(p.numel() for p in network.parameters())


def build_each(configs: Iterable[Config]) -> dict[Config, int]:
    """Build each of the configurations' networks once, and return its number of parameters, beside
    the first configuration that has it.

    Raises:
        UsageError: networks that cannot be built or are larger than allowed, a line for each.
    """
    names = [name for name, field in FIELDS.items() if field.shapes_network and name != "dropout"]
    distinct: dict[tuple[Any, ...], Config] = {}
    for config in configs:
        alone = datasets.is_known(config.dataset) and norms.has_batch_of_one(config)
        key = *(getattr(config, name) for name in names), config.max_parameters
        # A backbone may have no use for dropout.
        key += config.network not in ARCHITECTURES and config.dropout > 0, alone
        distinct.setdefault(key, config)
    faults, totals = Faults(), {}
    for (*_, alone), config in distinct.items():
        if table := faults.attempt(parameter_table, config):
            totals[config] = table["total"]
            faults.attempt(config.check_parameters, table["total"])
            if alone:
                faults.attempt(build, config)
    faults.check()
    return totals


def _from_architecture(
    config: Config, dropout: float | Sequence[float], copies: int = 1
) -> Network:
    architecture, spec = ARCHITECTURES[config.network], datasets.spec(config.dataset)
    channels, size, _ = spec.shape
    if size < (least := architecture.smallest):
        fitting = ", ".join(name for name, other in ARCHITECTURES.items() if other.smallest <= size)
        raise UsageError(
            f"network={config.network}: takes images of at least {least}x{least},"
            f" {config.dataset} has {size}x{size}; allowed there are {fitting}"
        )
    network = Network(
        architecture,
        norm=config.norm,
        groups=config.groups,
        norm_affine=config.norm_affine,
        dropout=dropout,
        num_classes=spec.num_classes,
        in_chans=channels,
        img_size=size,
        copies=copies,
    )
    for i, block in enumerate(network.features):
        norm = getattr(block, "norm", None)
        if isinstance(block, Block) and isinstance(norm, nn.Module):
            shape = block.conv.out_channels, block.side, block.side
            norms.check_map(config, f"features.{i}.norm", norm, shape)
    return network


def parameter_table(config: Config) -> dict[str, Any]:
    """Describe each layer: name, type, output shape (of one image), parameters; with totals.

    Sizes in megabytes (10^6 bytes, where torchsummary's have 2^20) for one image in float32:
    activations are every layer's output, twice, for the pass forward and the pass back. The
    receptive field is the side, in pixels, of the square of the image that one value of the output
    sees through convolutions and pooling (norms, which see a whole map, left out); None in a timm
    backbone, whose branches have several.
    """
    return _table(shaping(config), datasets.spec(config.dataset))


def shaping(config: Config) -> Config:
    """Return the settings that the network follows from, all others at their defaults, but for one
    batch of all images: how many the last batch has is no matter of the network."""
    names = [name for name, field in FIELDS.items() if field.shapes_network]
    images = datasets.spec(config.dataset).train_images
    return Config(**{name: getattr(config, name) for name in names}, batch_size=images)


@functools.lru_cache(maxsize=64)
def _table(config: Config, spec: DatasetSpec) -> dict[str, Any]:
    network = build(config).eval()
    layers: list[dict[str, Any]] = []
    sees = _ReceptiveField() if isinstance(network, Network) else None
    counted: set[nn.Parameter] = set()

    def count_new(parameters: Iterable[nn.Parameter]) -> int:
        new = set(parameters) - counted  # a layer that is passed twice has its parameters once
        counted.update(new)
        return sum(p.numel() for p in new)

    def record(name: str, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        layers.append(
            {
                "layer": name,
                "type": _describe(module),
                "output": list(output.shape[1:]),
                "receptive_field": sees and sees.through(module, inputs[0].shape[-1]),
                "parameters": count_new(module.parameters()),
            }
        )

    for name, module in network.named_modules():
        if not list(module.children()) and not isinstance(module, nn.Identity):
            module.register_forward_hook(functools.partial(record, name))
    with torch.inference_mode():
        network(torch.zeros(1, *spec.shape))
    # Of timm's some blocks have parameters beside their layers', such as a scale of each channel.
    for name, module in network.named_modules():
        if own := count_new(module.parameters(recurse=False)):
            layers.append(
                {
                    "layer": name or "(network)",
                    "type": f"{type(module).__name__}, outside its layers",
                    "output": [],
                    "receptive_field": None,
                    "parameters": own,
                }
            )
    total = count_parameters(network)
    activations = sum(math.prod(layer["output"]) for layer in layers)
    return {
        "layers": layers,
        "total": total,
        "input_mb": math.prod(spec.shape) * 4 / MEGABYTE,
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
        """Return the size after a layer whose input is a map of that side."""
        kernel, stride = 1, 1
        match module:
            case nn.Conv2d():
                kernel, stride = module.kernel_size[0], module.stride[0]
            case nn.MaxPool2d(kernel_size=int(window), stride=int(step)):
                kernel, stride = window, step
            case nn.AdaptiveAvgPool2d():
                kernel = side
        self.size += (kernel - 1) * self.jump
        self.jump *= stride
        return self.size


def _describe(module: nn.Module) -> str:
    """Return the layer's type and sizes: `Conv2d(10, 10, 3x3)`, `GroupNorm(5, 10)`, ..."""
    kind = type(module).__name__
    match module:
        case nn.Conv2d():
            height, width = module.kernel_size
            depthwise = ", depthwise" if module.groups == module.in_channels > 1 else ""
            channels = f"{module.in_channels}, {module.out_channels}"
            return f"{kind}({channels}, {height}x{width}{depthwise})"
        case nn.GroupNorm():
            return f"{kind}({module.num_groups}, {module.num_channels})"
        case nn.BatchNorm2d():
            return f"{kind}({module.num_features})"
        case nn.LayerNorm():
            return f"{kind}({', '.join(map(str, module.normalized_shape))})"
        case nn.Dropout() | nn.Dropout2d():
            return f"{kind}({module.p})"
    return kind
