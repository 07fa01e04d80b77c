"""Layers are read off the network; one that the kernels cannot run is found."""

import pytest
from torch import nn

from study.architectures import ARCHITECTURES, POOL, Architecture, Conv
from study.train.blocks import Network
from study.train.kernels.layers import read_layers

ORDER = ("norm", "relu", "dropout")


def read(architecture, copies=2, **options):
    options = {"dropout": [0.1] * copies} | options
    return read_layers(Network(architecture, copies=copies, **options), copies)


DEPTHWISE = ["cifar_45808"]  # whose convolutions no kernel does


@pytest.mark.parametrize("network", DEPTHWISE)
def test_a_depthwise_convolution_is_left_to_torch(network):
    assert read(ARCHITECTURES[network]) is None


@pytest.mark.parametrize("network", [name for name in ARCHITECTURES if name not in DEPTHWISE])
@pytest.mark.parametrize("copies", [1, 3])
def test_layers_have_the_shapes_of_one_model(network, copies):
    architecture = ARCHITECTURES[network]
    single = Network(architecture)
    convs = [module for module in single.modules() if isinstance(module, nn.Conv2d)]
    layers = read(architecture, copies)
    side, at = architecture.size, 0
    for layer, conv in zip(layers, convs[:-1], strict=True):
        assert (layer.inputs, layer.channels) == (conv.in_channels, conv.out_channels)
        assert layer.side_in == side and layer.at == at
        side = layer.side // 2 if layer.pool else layer.side
        at += sum(p.numel() for p in single.features[layer.number].parameters())
    assert [layer.pool for layer in layers].count(True) == architecture.blocks.count(POOL)
    for layer, spec in zip(layers, [spec for spec in architecture.blocks if spec != POOL]):
        assert (layer.unit == "none") == spec.bare
        assert bool(layer.dropout) == (spec.dropout and not spec.bare)
        assert bool(layer.skip) == spec.save_skip and bool(layer.adds) == spec.add_skip


def test_a_skip_is_the_value_after_the_relu():
    blocks = (Conv(4, save_skip=True), Conv(4, add_skip=True))

    def skip(order, **options):
        return read(Architecture(blocks, order, padding=True), **options)[0].skip

    assert skip(ORDER) == "z"
    assert skip(("norm", "dropout", "relu")) == "x"
    assert skip(("norm", "dropout", "relu"), dropout=[0.0, 0.0]) == "z"
    assert skip(("relu", "norm", "dropout")) == "y"
    assert skip(ORDER, norm="none") == "y"


def test_what_no_kernel_does_is_found():
    one = (Conv(4), Conv(4))
    assert read(Architecture(one, ORDER)) is not None
    assert read(Architecture(one, ("dropout", "norm", "relu"))) is None
    assert read(Architecture((POOL, *one), ORDER)) is None
    assert read(Architecture((*one, POOL), ORDER)) is None
    assert read(Architecture((Conv(4), POOL, POOL, Conv(4)), ORDER)) is None
    twice = (Conv(4, save_skip=True), Conv(4, add_skip=True), Conv(4, add_skip=True))
    assert read(Architecture(twice, ORDER, padding=True)) is None

    def with_norm(norm):
        network = Network(Architecture(one, ORDER))
        network.features[1].norm = norm
        return read_layers(network, 1)

    assert with_norm(nn.GroupNorm(2, 4)) is not None
    assert with_norm(nn.LocalResponseNorm(2)) is None

    def with_options(**options):
        network = Network(Architecture(one, ORDER))
        network.features[1].conv = nn.Conv2d(4, 4, 3, bias=False, **options)
        return read_layers(network, 1)

    assert with_options(padding=0) is not None
    for option in ({"stride": 2}, {"dilation": 2}, {"groups": 2}, {"padding_mode": "reflect"}):
        assert with_options(**option) is None
