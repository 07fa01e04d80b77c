"""Any timm backbone with BatchNorm, its norms swapped for the one that is studied.

The published networks are registered with timm too: once this is imported, timm.create_model builds
them.
"""

import copy
from collections import OrderedDict
from typing import Any

import timm
import torch
from timm.layers import BatchNormAct2d, DropPath
from timm.models import register_model
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils.hooks import RemovableHandle

from study import datasets, extension
from study.architectures import ARCHITECTURES
from study.config import Config
from study.datasets import DatasetSpec
from study.errors import UsageError
from study.train import norms
from study.train.blocks import Network

__all__ = ["build", "swap"]  # timm adds our networks' names

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # and timm's, which derive from them


def build(config: Config) -> nn.Module:
    """Build timm's backbone for the images and classes of a data set, its norms swapped.

    `dropout` is timm's drop_rate, before the classifier; stochastic depth, which some backbones
    have of their own accord, is off. timm also knows what the module named by STUDY_IMPORT has
    registered.

    Raises:
        UsageError: it cannot be built, has no BatchNorm to swap or no use for `dropout`, cannot
            take such images, or one of its maps is too small for the norm; the message names the
            backbone and the layer.
    """
    name = config.network
    if config.norm_affine == "element":
        raise UsageError(
            f"norm_affine=element: needs a network of fixed map sizes, not network={name}"
            " (allowed here: channel, none)"
        )
    spec = datasets.spec(config.dataset)
    extension.load()  # in a worker the names were not asked for
    try:
        network = _create(config, spec)
    except Exception as error:  # timm's backbones refuse options in many ways
        raise UsageError(
            f"network={name}: cannot be built for {config.dataset} ({extension.locate(error)})"
        ) from error
    _check_layers(network, config)
    swapped = swap(network, config)
    if not swapped:
        raise UsageError(
            f"network={name}: has no BatchNorm2d that norm={config.norm} could replace"
        )
    if config.norm != "batch":
        _check_all_swapped(network, swapped, config)
    _check(network, swapped, config)
    return network


def _create(config: Config, spec: DatasetSpec) -> nn.Module:
    """Create timm's backbone without any regularization but `dropout`."""
    options: dict[str, Any] = {"num_classes": spec.num_classes, "in_chans": spec.shape[0]}
    try:  # of 0 too: some have dropout by default
        network = timm.create_model(config.network, drop_rate=config.dropout, **options)
    except TypeError:
        if config.dropout:
            raise
        network = timm.create_model(config.network, **options)
    for module in network.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
    return network


def swap(network: nn.Module, config: Config) -> dict[str, nn.Module]:
    """Replace each BatchNorm2d by the configuration's norm; return the new ones by name.

    What timm's BatchNormAct2d does after normalizing, its dropout and activation, stays; so do eps
    and momentum, and scales and shifts start as timm made them (a residual branch may start at 0).
    """
    swapped = {}
    again: dict[nn.Module, nn.Module] = {}  # one that a network passes twice stays one
    for name, old in list(network.named_modules(remove_duplicate=False)):
        if not isinstance(old, nn.BatchNorm2d):
            continue
        if old in again:
            network.set_submodule(name, again[old])
            continue
        new = norms.build(
            config.norm, old.num_features, groups=config.groups, affine=config.norm_affine
        )
        if getattr(new, "weight", None) is not None and old.affine:
            new.load_state_dict({"weight": old.weight, "bias": old.bias}, strict=False)
        for fact in ("eps", "momentum"):
            if hasattr(new, fact):
                setattr(new, fact, getattr(old, fact))
        swapped[name] = new
        if isinstance(old, BatchNormAct2d):
            new = nn.Sequential(OrderedDict(norm=new, drop=old.drop, act=old.act))
        again[old] = new
        network.set_submodule(name, new)
    return swapped


def _check_layers(network: nn.Module, config: Config) -> None:
    """Refuse a backbone that has no use for `dropout`, or layers without sizes."""
    for layer, module in network.named_modules():
        if isinstance(module, LazyModuleMixin):
            raise UsageError(
                f"network={config.network}: {layer} is a {type(module).__name__}; give it its sizes"
            )
    rates = [
        module.p if isinstance(module, _DropoutNd) else getattr(module, "drop_rate", None)
        for module in network.modules()  # drop_rate: where it is for F.dropout
    ]
    if config.dropout and config.dropout not in rates:
        raise UsageError(
            f"dropout={config.dropout:g}: network={config.network} makes no use of drop_rate, by"
            " which timm's have it; allowed here is 0"
        )


def _check_all_swapped(network: nn.Module, swapped: dict[str, nn.Module], config: Config) -> None:
    """Refuse a backbone that would keep norms of its own, under the name of another norm."""
    ours = set(swapped.values())
    for layer, module in network.named_modules():
        if isinstance(module, NORMS) and module not in ours:
            raise UsageError(
                f"norm={config.norm}: {layer} of network={config.network} is a"
                f" {type(module).__name__}, which cannot be replaced; take norm=batch or another"
                " backbone"
            )


def _check(network: nn.Module, swapped: dict[str, nn.Module], config: Config) -> None:
    """Pass a batch of two images through, to evaluate and to train, so that what cannot work is
    refused before training."""

    def check_input(layer: str) -> RemovableHandle:
        def hook(norm: nn.Module, inputs: tuple[Tensor]) -> None:
            norms.check_map(config, layer, norm, inputs[0].shape[1:])

        return swapped[layer].register_forward_pre_hook(hook)

    spec = datasets.spec(config.dataset)
    handles = [check_input(layer) for layer in swapped]
    images, wanted = torch.zeros(2, *spec.shape), [2, spec.num_classes]
    try:
        # Of a copy, since training moves running statistics, and with another generator.
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            outputs = [network.eval()(images), copy.deepcopy(network).train()(images)]
    except UsageError:
        raise
    except Exception as error:  # backbones raise many kinds where images do not suit them
        size = "x".join(map(str, spec.shape))
        raise UsageError(
            f"network={config.network}: cannot take the {size} images of {config.dataset}"
            f" ({extension.locate(error)})"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        network.train()
    for output, use in zip(outputs, ("evaluation", "training")):
        given = list(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        if given != wanted:
            raise UsageError(f"network={config.network}: gives {given} in {use}, not {wanted}")


def _register(name: str) -> None:
    """Make one of our networks known to timm: timm.create_model(name, norm=..., in_chans=...)."""

    def create(pretrained: bool = False, **options: Any) -> Network:
        if pretrained:
            raise UsageError(f"{name}: has no pretrained weights; leave pretrained out")
        for timms in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            options.pop(timms, None)
        return Network(ARCHITECTURES[name], **options)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"{name} of the published studies; options as Network's."
    create.__module__ = __name__
    register_model(create)


for _name in ARCHITECTURES:
    _register(_name)
