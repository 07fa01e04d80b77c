import numpy as np
import pytest
import torch
from torch import nn

from study import datasets
from study.config import FIELDS, Config
from study.errors import UsageError
from study.train import networks
from tests.test_datasets import made

TOTALS = {
    "mnist_7684": 7684,
    "mnist_7848": 7848,
    "mnist_8008": 8008,
    "mnist_9680": 9680,
    "mnist_9802": 9802,
    "mnist_9965": 9965,
    "cifar_48178": 48178,
    "cifar_45808": 45808,
}


def config(network: str, **settings) -> Config:
    dataset = "cifar10" if network.startswith("cifar") else "mnist"
    return Config(dataset=dataset, network=network, **settings)


@pytest.mark.parametrize("network", TOTALS)
@pytest.mark.parametrize("norm", ["batch", "layer", "group", "instance"])
def test_parameters_are_those_published_with_every_norm(network, norm):
    table = networks.parameter_table(config(network, norm=norm))
    assert table["total"] == TOTALS[network]
    assert table["total"] == sum(layer["parameters"] for layer in table["layers"])


def test_parameters_of_the_other_affine_modes():
    def total(network, affine):
        settings = config(network, norm="layer", norm_affine=affine)
        return networks.parameter_table(settings)["total"]

    assert total("mnist_8008", "none") == 7784
    assert total("mnist_7684", "element") == 53_670


def norms_of(network: str, groups: int) -> list[int]:
    built = networks.build(config(network, norm="group", groups=groups))
    return [m.num_groups for m in built.modules() if isinstance(m, nn.GroupNorm)]


def test_groups_by_layer_are_those_published():
    assert norms_of("mnist_7684", 5) == [5, 5, 5, 5, 5, 5, 4]
    assert norms_of("mnist_9802", 3) == [2, 3, 2, 2, 2]
    assert set(norms_of("mnist_8008", 4)) == set(norms_of("cifar_48178", 4)) == {4}


def test_the_order_within_a_block():
    def names(network):
        block = networks.build(config(network, norm="layer", dropout=0.05)).features[0]
        return [type(module).__name__ for module in block.children()]

    assert names("mnist_7684") == ["Conv2d", "GroupNorm", "Dropout", "ReLU"]
    assert names("mnist_8008") == ["Conv2d", "GroupNorm", "ReLU"]
    assert names("mnist_9680") == ["Conv2d", "ReLU", "GroupNorm", "Dropout"]
    assert names("cifar_48178") == ["Conv2d", "GroupNorm", "ReLU", "Dropout2d"]


@pytest.mark.parametrize("network", TOTALS)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_every_network_has_gradients_with_dropout(network, norm):
    built = networks.build(config(network, norm=norm, dropout=0.1)).train()
    channels, size = (3, 32) if network.startswith("cifar") else (1, 28)
    built(torch.randn(2, channels, size, size)).sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())


# Convolutions in order, the last one to the classes; those of CIFAR-10 with bias.
CONVOLUTIONS = {
    "mnist_7684": [90, 900, 1350, 150, 900, 900, 2880, 320],
    "mnist_7848": [72, 1008, 2016, 2304, 2160, 150],
    "mnist_9965": [81, 1296, 2592, 2916, 2754, 170],
    "mnist_8008": [72, 576, 576, 1152, 2304, 128, 2304, 512, 160],
    "mnist_9680": [144, 2304, 2304, 2304, 2304, 160],
    "mnist_9802": [90, 1620, 180, 1440, 2880, 200, 2880, 320],
    "cifar_48178": [448, 2320, 136, 2336, 9248, 9248, 528, 4640, 9248, 9248, 330],
    "cifar_45808": [648, 216, 1536, *[576, 4096] * 3, 5120, *[720, 6400] * 3, 800],
}


@pytest.mark.parametrize("network", TOTALS)
def test_layer_by_layer_parameters_are_those_published(network):
    layers = networks.parameter_table(config(network))["layers"]
    counted = [x["parameters"] for x in layers if x["type"].startswith("Conv2d")]
    assert counted == CONVOLUTIONS[network]
    norm = [x for x in layers if x["type"].startswith("BatchNorm2d")]
    assert [x["parameters"] for x in norm] == [2 * x["output"][0] for x in norm]


@pytest.mark.parametrize(
    ("network", "affine", "counts"),
    [
        ("mnist_7684", "element", [13_520, 11_520, 14_520, 2_420, 1_620, 980, 1_600]),  # 2 C H W
        ("mnist_8008", "none", [0] * 8),
    ],
)
def test_layer_norms_of_the_published_studies_layer_by_layer(network, affine, counts):
    layers = networks.parameter_table(config(network, norm="layer", norm_affine=affine))["layers"]
    norms = [x for x in layers if x["type"].startswith(("LayerNorm", "GroupNorm(1, "))]
    assert [x["parameters"] for x in norms] == counts
    counted = [x["parameters"] for x in layers if x["type"].startswith("Conv2d")]
    assert counted == CONVOLUTIONS[network]


@pytest.mark.parametrize(
    "build", [networks.build, lambda config: networks.build_pack([config] * 3)]
)
def test_a_network_above_its_budget_is_refused_with_the_count(build):
    build(config("mnist_7684", max_parameters=7684))
    with pytest.raises(UsageError) as refused:
        build(config("mnist_7684", norm="layer", norm_affine="element", max_parameters=7684))
    total = networks.parameter_table(config("mnist_7684", norm="layer", norm_affine="element"))
    assert str(refused.value) == (
        "max_parameters=7684: mnist_7684 with LN (affine element) on mnist has"
        f" {total['total']:,} parameters"
    )


def test_every_network_is_built_once_and_every_fault_is_told(tmp_path, monkeypatch):
    small = [config("mnist_7684", dropout=p, seed=s) for p in (0, 0.1) for s in (1, 2)]
    assert networks.build_each(small) == {small[0]: 7684}
    large = [config(name, max_parameters=8000) for name in TOTALS if name.startswith("mnist")]
    np.savez(tmp_path / "small.npz", **made(shape=(12, 12)))
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    tiny = Config(dataset="own:small")
    with pytest.raises(UsageError) as refused:
        networks.build_each([*small, *large, tiny])
    lines = str(refused.value).splitlines()
    assert [line.partition(": ")[2].split()[0] for line in lines[:4]] == [
        "mnist_8008", "mnist_9680", "mnist_9802", "mnist_9965",
    ]  # fmt: skip
    assert len(lines) == 5 and "takes images of at least" in lines[4]
    with pytest.raises(UsageError) as refused:  # whose files are missing
        networks.build_each(Config(dataset=f"own:{name}") for name in ("one", "two"))
    assert [f"{name}.npz" in str(refused.value) for name in ("one", "two")] == [True, True]


def test_the_sizes_of_mnist_7684():
    table = networks.parameter_table(config("mnist_7684"))
    convolutions = [x for x in table["layers"] if x["type"].startswith("Conv2d")]
    assert [x["output"] for x in convolutions][-2:] == [[32, 5, 5], [10, 1, 1]]
    assert table["input_mb"] == pytest.approx(28 * 28 * 4 / 1e6)
    assert table["parameters_mb"] == pytest.approx(7684 * 4 / 1e6)


def test_the_residuals_of_cifar_48178():
    """The third block of a stage adds the first one's output, after its ReLU and before dropout."""
    torch.manual_seed(0)
    network = networks.build(config("cifar_48178", dropout=0.5)).double().eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    f = network.features

    def block(module, x):
        return torch.relu(module.norm(module.conv(x)))

    x0 = f[3](f[2].conv(block(f[1], block(f[0], x))))
    x1 = block(f[4], x0)
    x3 = torch.relu(f[6].norm(x1 + f[6].conv(block(f[5], x1))))
    y1 = block(f[9], f[8](f[7].conv(x3)))
    y3 = torch.relu(f[11].norm(y1 + f[11].conv(block(f[10], y1))))
    expected = network.head(y3.mean((2, 3), keepdim=True)).flatten(1)
    torch.testing.assert_close(network(x), expected)


def test_a_depthwise_convolution_sees_its_own_channel_alone():
    built = networks.build(config("cifar_45808"))
    conv = built.features[4].conv
    x = torch.randn(1, 64, 16, 16)
    changed = x.clone()
    changed[:, 7] += 1
    differ = (conv(x) != conv(changed)).any(dim=(0, 2, 3))
    assert differ.nonzero().flatten().tolist() == [7]
    layers = networks.parameter_table(config("cifar_45808"))["layers"]
    [table] = [layer for layer in layers if layer["layer"] == "features.4.conv"]
    assert table["type"] == "Conv2d(64, 64, 3x3, depthwise)"


def test_every_network_reads_every_data_set():
    assert tuple(networks.ARCHITECTURES) == FIELDS["network"].choices
    for network in networks.ARCHITECTURES:
        for spec in datasets.ROWS:
            built = networks.build(Config(dataset=spec.name, network=network))
            assert built(torch.zeros(2, *spec.shape)).shape == (2, spec.num_classes)


def test_receptive_fields_of_mnist_7684():
    table = networks.parameter_table(config("mnist_7684"))
    seen = [x["receptive_field"] for x in table["layers"] if x["type"].startswith("Conv2d")]
    assert seen == [3, 5, 7, 8, 12, 16, 20, 28]
    backbone = networks.parameter_table(config("test_efficientnet"))
    assert {layer["receptive_field"] for layer in backbone["layers"]} == {None}


@pytest.mark.parametrize("network", TOTALS)
def test_a_receptive_field_is_what_has_a_gradient(network):
    """The pixels that the middle of a map depends on, in an image large enough for them all."""
    settings = config(network, norm="none")
    table = networks.parameter_table(settings)["layers"]
    architecture = networks.ARCHITECTURES[network]
    built = networks.Network(architecture, norm="none", img_size=120)
    for module in list(built.modules()):
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.abs() + 0.01  # no ReLU closes
    built.features = nn.ModuleList(
        nn.AvgPool2d(2) if isinstance(m, nn.MaxPool2d) else m for m in built.features
    )
    outputs = {}
    for name, module in built.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
    image = torch.ones(1, architecture.channels, 120, 120, requires_grad=True)
    built(image)
    for layer in table:
        if layer["layer"].startswith("features") and layer["layer"].endswith("conv"):
            out = outputs[layer["layer"]]
            middle = out[0, 0, out.shape[2] // 2, out.shape[3] // 2]
            [gradient] = torch.autograd.grad(middle, image, retain_graph=True)
            rows = gradient.abs().sum((0, 1, 3)).nonzero()
            assert len(rows) == layer["receptive_field"], layer["layer"]
