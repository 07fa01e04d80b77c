"""timm's backbones with their norms swapped, untrained, and a model of a user's own."""

import os
import sys

import pytest
import timm
import torch
from torch import nn

from study import extension, files, runs
from study.config import FIELDS, Config
from study.errors import UsageError
from study.labels import labels
from study.train import backbones, loop, networks

SMALL = {"resnet18": 20, "test_efficientnet": 13, "mobilenetv3_small_050": 34}  # and their norms
KINDS = {"batch": nn.BatchNorm2d, "layer": nn.GroupNorm, "group": nn.GroupNorm}


def config(network: str, norm: str = "batch", **settings) -> Config:
    return Config(dataset="cifar10", network=network, norm=norm, **settings)


@pytest.mark.parametrize("network", networks.ARCHITECTURES)
def test_timm_builds_ours_too(network):
    assert network in backbones.__all__
    built = timm.create_model(network, norm="group", groups=5, num_classes=10)
    assert sum(p.numel() for p in built.parameters()) == int(network.split("_")[1])
    with pytest.raises(UsageError, match="no pretrained weights"):
        timm.create_model(network, pretrained=True)


@pytest.mark.parametrize(
    ("network", "norm"),
    [
        ("resnet18", "group"),
        ("mobilenetv3_small_050", "layer"),
        *(("test_efficientnet", norm) for norm in KINDS),
    ],
)
def test_every_norm_is_swapped_and_nothing_else(network, norm):
    torch.manual_seed(0)
    built = networks.build(config(network, norm))
    torch.manual_seed(0)
    original = timm.create_model(network, num_classes=10)
    ours = [m for m in built.modules() if isinstance(m, KINDS[norm])]
    assert len(ours) == SMALL[network]
    parameters = [sum(p.numel() for p in n.parameters()) for n in (built, original)]
    assert parameters[0] == parameters[1]

    def others(model):
        kinds = [type(m).__name__ for m in model.modules() if not list(m.children())]
        skip = ("BatchNorm2d", "GroupNorm", "Identity")
        return sorted(kind for kind in kinds if kind not in skip)

    assert others(built) == others(original)
    assert built.training
    logits = built(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    logits.sum().backward()
    assert all(p.grad is not None for p in built.parameters())


def test_with_batch_norm_it_is_timms_own():
    """Activations included: what was BatchNormAct2d gives what it gave."""
    x = torch.randn(4, 3, 32, 32)
    for network in ("test_efficientnet", "test_resnet"):
        torch.manual_seed(0)
        built = networks.build(config(network))
        torch.manual_seed(0)
        original = timm.create_model(network, num_classes=10)
        torch.testing.assert_close(built.eval()(x), original.eval()(x))


def test_groups_and_affine_reach_the_norms():
    built = networks.build(config("test_efficientnet", "group", groups=3, norm_affine="none"))
    swapped = [m for m in built.modules() if isinstance(m, nn.GroupNorm)]
    assert all(m.weight is None for m in swapped)
    groups = {m.num_groups for m in swapped}
    assert groups <= {1, 2, 3} and max(groups) > 1


def test_a_layer_table_and_a_run(tmp_path):
    table = networks.parameter_table(config("test_efficientnet", "layer"))
    assert table["total"] == sum(layer["parameters"] for layer in table["layers"]) == 101_766
    run = loop.train(
        Config(network="test_efficientnet", norm="group", epochs=1, batch_size=512), tmp_path
    )
    assert run.done and run.summary["parameters"] == networks.parameter_table(run.config)["total"]


def test_parameters_outside_the_layers_are_in_the_table():
    table = networks.parameter_table(config("swiftformer_xs"))
    assert sum(layer["parameters"] for layer in table["layers"]) == table["total"]
    outside = [layer for layer in table["layers"] if not layer["output"]]
    assert len(outside) == 4 and outside[0] == {
        "layer": "stages.0.blocks.2.attn",
        "type": "EfficientAdditiveAttention, outside its layers",
        "output": [],
        "receptive_field": None,
        "parameters": 48,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "resnet18", "norm": "instance"}, r"norm=instance: layer4.0.bn1 of network=re"),
        (
            {"network": "test_convnext", "norm": "layer"},
            "network=test_convnext: has no BatchNorm2d",
        ),
        ({"network": "test_vit"}, "network=test_vit: has no BatchNorm2d"),
        (
            {"network": "resnet18", "norm": "layer", "norm_affine": "element"},
            "norm_affine=element: needs a network of fixed map sizes, not network=resnet18",
        ),
        (
            {"network": "efficientvit_m0", "dataset": "cifar10", "norm": "group"},
            "norm=group: head.bn of network=efficientvit_m0 is a BatchNorm1d",
        ),
        (
            {"network": "test_resnet", "batch_size": 4},
            r"batch_size=4: of 1,437 images the last batch has one, and layer4.0.bn1 of network=t",
        ),
        ({"network": "levit_128s"}, "network=levit_128s: cannot take the 1x28x28 images of digits"),
    ],
)
def test_what_cannot_work_is_refused_by_name(settings, message):
    with pytest.raises(UsageError, match=message) as refused:
        networks.build(Config(**settings))
    assert "\n" not in str(refused.value)


def test_batch_norm_may_stay_under_its_own_name():
    """And an image alone in a batch is refused only where its map is a single value."""
    networks.build(config("efficientvit_m0"))
    networks.build(Config(network="test_resnet", batch_size=4, holdout=10))
    networks.build(config("test_resnet", "group", batch_size=1))


@pytest.mark.parametrize("network", ["repghostnet_050", "nextvit_small", "rexnet_100"])
def test_dropout_0_is_none_also_where_timm_has_some_by_default(network):
    built = networks.build(config(network, "batch", dropout=0.0))
    assert getattr(built, "drop_rate", 0.0) == 0.0
    rates = [m.p for m in built.modules() if isinstance(m, nn.Dropout)]
    depths = [m.drop_prob for m in built.modules() if type(m).__name__ == "DropPath"]
    assert not any(rates) and not any(depths)


@pytest.mark.parametrize("network", ["mobilevit_xxs", "mobilevitv2_050", "tiny_vit_5m_224"])
def test_a_backbone_with_norms_of_its_own_keeps_none_under_another_name(network):
    with pytest.raises(UsageError, match=r"norm=none: .* is a (Layer|Group)Norm\w*, which cannot"):
        networks.build(config(network, "none"))


def test_what_timm_has_set_of_a_norm_stays():
    built = networks.build(config("tf_efficientnet_b0", "batch"))
    original = timm.create_model("tf_efficientnet_b0", num_classes=10).bn1
    assert (built.bn1.norm.eps, built.bn1.norm.momentum) == (original.eps, original.momentum)
    assert networks.build(config("tf_efficientnet_b0", "group")).bn1.norm.eps == original.eps


def test_the_last_batch_is_judged_by_the_batch_size_that_is_set(monkeypatch):
    """The tables of parameters are of the network alone, and no other size may refuse it."""
    settings = {"network": "test_resnet", "holdout": 28}  # 1,409 images, of 128 the last alone
    assert networks.parameter_table(Config(**settings, batch_size=50))["total"]
    with pytest.raises(UsageError, match="batch_size=128: of 1,409 images the last batch has one"):
        networks.build_each([Config(**settings, batch_size=50), Config(**settings)])
    monkeypatch.setattr(networks, "build", None)  # of other sizes none is built again
    networks.build_each([Config(**settings, batch_size=size) for size in (50, 60, 70)])


def test_names_are_checked_and_sorted_behind_ours():
    with pytest.raises(
        UsageError, match=r"network=resnet81.*STUDY_IMPORT registers \(did you mean resnet"
    ):
        Config(network="resnet81")
    with pytest.raises(UsageError, match=r"network=mnist_7664.*did you mean mnist_7684\?"):
        Config(network="mnist_7664")
    field = FIELDS["network"]
    values = ["resnet18", "cifar_48178", "densenet121", "mnist_7684"]
    assert sorted(values, key=field.rank) == [
        "mnist_7684", "cifar_48178", "densenet121", "resnet18",
    ]  # fmt: skip
    both = [Config(network="resnet18"), Config()]
    assert list(labels(both).values()) == ["BN, resnet18", "BN, mnist_7684"]


EXTENSION = """
import timm
from torch import nn

@timm.models.register_model
def my_tiny_net(pretrained=False, num_classes=10, in_chans=1, **options):
    return nn.Sequential(
        nn.Conv2d(in_chans, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes),
    )
"""
SWEEP = """
method: grid
metric: {name: test/accuracy, goal: maximize}
parameters:
  network: {value: my_tiny_net}
  norm: {value: group}
  epochs: {value: 1}
  batch_size: {value: 512}
"""


def test_a_model_of_a_users_own_is_swept_by_workers(study, tmp_path):
    """As by the script `study`, for which Python does not search the current folder."""
    (tmp_path / "my_nets.py").write_text(EXTENSION)
    (tmp_path / "mine.yaml").write_text(SWEEP)
    environment = os.environ | {"STUDY_IMPORT": "my_nets", "PYTHONSAFEPATH": "1"}
    done = study("sweep", "mine.yaml", "--workers", "1", env=environment)
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "runs" / "mine").glob("group_s0_*")
    table = files.read_json(folder / runs.PARAMETERS)
    assert table["total"] == 104 + 8 + 50  # convolution, norm, linear
    assert runs.read_summary(folder)["state"] == runs.FINISHED


@pytest.fixture
def my_nets(tmp_path, monkeypatch):
    """A function that writes the module of a user's own, which is not yet imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("STUDY_IMPORT", "my_nets")
    monkeypatch.setattr(extension, "load", extension.load.__wrapped__)
    yield (tmp_path / "my_nets.py").write_text
    sys.modules.pop("my_nets", None)


HOME = "; it names a Python module in the current folder or installed, without .py"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, f"ModuleNotFoundError: No module named 'my_nets'){HOME}"),
        ("\n1 +", "SyntaxError: invalid syntax (my_nets.py, line 2))"),
        ("def f():\n  1 / 0\nf()", "ZeroDivisionError: division by zero, my_nets.py line 2)"),
        ("import no_such", "ModuleNotFoundError: No module named 'no_such', my_nets.py line 1)"),
        ("import sys\nsys.exit('no')", "SystemExit: no, my_nets.py line 2)"),
    ],
)
def test_an_extension_that_cannot_be_imported_is_named(content, why, my_nets):
    if content:
        my_nets(content)
    with pytest.raises(UsageError) as refused:
        extension.load()
    assert str(refused.value) == f"STUDY_IMPORT=my_nets: cannot be imported ({why}"


@pytest.mark.parametrize("name", ["mnist_7684", "resnet18"])
def test_a_model_that_takes_the_name_of_another_is_refused(name, my_nets, monkeypatch):
    from timm.models import _registry

    monkeypatch.setattr(_registry, "_model_entrypoints", {**_registry._model_entrypoints})
    my_nets(EXTENSION.replace("my_tiny_net", name))
    for _ in range(2):
        with pytest.raises(
            UsageError, match=f"registers {name}, the name of another network; give"
        ):
            extension.load()


ODD = ("tuple", "aside", "lazy", "typo", "no_dropout", "norm_twice")


class Odd(nn.Module):
    """A user's network, with what is odd about it."""

    def __init__(self, odd: str, drop_rate: float) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(4)
        twice = [nn.Conv2d(4, 4, 1), norm] if odd == "norm_twice" else []
        conv = nn.LazyConv2d(4, 3) if odd == "lazy" else nn.Conv2d(1, 4, 3)
        drop = nn.Dropout(0.0 if odd == "no_dropout" else drop_rate)
        self.layers = nn.Sequential(
            conv, norm, *twice, nn.AdaptiveAvgPool2d(1), nn.Flatten(), drop, nn.Linear(4, 10)
        )
        self.odd = odd

    def forward(self, x):
        if self.odd == "typo":
            return self.layer(x)
        logits = self.layers(x)
        aside = self.odd == "tuple" or (self.odd == "aside" and self.training)
        return (logits, x) if aside else logits


@pytest.fixture
def odd(monkeypatch):
    """A function that builds a configuration's network, which is odd in this way."""
    monkeypatch.setattr(timm, "create_model", lambda name, drop_rate, **_: Odd(name, drop_rate))
    monkeypatch.setattr(extension, "backbone_names", lambda: ODD)
    return lambda name, **settings: networks.build(Config(network=name, **settings))


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("tuple", {}, "gives a tuple in evaluation, not [2, 10]"),
        ("aside", {}, "gives a tuple in training, not [2, 10]"),
        ("lazy", {}, "layers.0 is a LazyConv2d; give it its sizes"),
        ("typo", {}, "cannot take the 1x28x28 images of digits (AttributeError: 'Odd' object has"
         " no attribute 'layer', test_backbones.py line"),
        ("no_dropout", {"dropout": 0.1}, "dropout=0.1: network=no_dropout makes no use of drop"),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_users_network_is_refused(name, settings, why, odd):
    with pytest.raises(UsageError) as refused:
        odd(name, **settings)
    assert why in str(refused.value)


def test_a_sweep_is_checked_for_dropout_without_use(odd):
    configs = [Config(network="no_dropout", dropout=dropout) for dropout in (0, 0.1, 0.2)]
    with pytest.raises(UsageError, match=r"^dropout=0\.1: network=no_dropout makes no use of dro"):
        networks.build_each(configs)


def test_a_norm_that_is_passed_twice_stays_one(odd):
    built = odd("norm_twice", norm="group", groups=2)
    first, again = built.layers[1], built.layers[3]
    assert isinstance(first, nn.GroupNorm) and first is again
    assert networks.count_parameters(built) == 40 + 20 + 8 + 50
