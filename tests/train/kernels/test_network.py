"""The kernels give the gradients, statistics and logits of the network that torch runs.

On a machine without CUDA Triton's interpreter takes them (tests/conftest.py asks for it), a few
milliseconds each: so the networks' images are the smallest that they take, and tiles are large.
"""

import dataclasses

import pytest
import torch
from torch.func import functional_call

pytest.importorskip("triton")

from study.architectures import ARCHITECTURES, POOL, Architecture, Conv
from study.config import Config
from study.train import cpu_kernels, data
from study.train.blocks import Network
from study.train.dropout import Dropouts, Noise
from study.train.kernels import choice, network
from study.train.kernels.layers import read_layers
from study.train.kernels.network import KernelNetwork
from study.train.kernels.tiles import Tiles
from study.train.pack import Pack

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BANK, COPIES = 6, 2
WIDE = Tiles(pixels=256, depth=64, weights=128, values=2048, images=2)
WIDE_64 = Tiles(pixels=64, depth=16, weights=16, values=2048, images=2, least=1)


@pytest.fixture(autouse=True)
def noise_as_on_a_gpu(monkeypatch):
    """The reference drops what a pack drops off the CPU; without CUDA tiles are large."""
    monkeypatch.setattr(cpu_kernels, "ENABLED", False)
    if DEVICE.type == "cpu":
        tiles = {"float32": WIDE, "bfloat16": WIDE, "float64": WIDE_64}
        monkeypatch.setattr(network, "TILES", tiles)


class Case:
    """A network of some models, with weights, a bank of images and labels, all seeded.

    A part of each image is blank, so that values tie in the windows of a max-pool.
    """

    def __init__(self, architecture, models=2, images=2, size=None, precision="float64", **options):
        self.size = size or architecture.smallest + 1
        self.models, self.images, self.precision = models, images, precision
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        options = {"norm": "batch", "dropout": 0.3} | options
        p = options.pop("dropout")
        rates = [p / (1 + k) for k in range(models)]
        torch.manual_seed(0)
        self.network = Network(
            architecture, dropout=rates, img_size=self.size, copies=models, **options
        )
        self.network.to(DEVICE, self.dtype)
        self.noise = Noise([2**63 + 11 + k for k in range(models)], DEVICE)
        self.noise.step.fill_(9)
        for module in self.network.modules():
            if isinstance(module, Dropouts):
                module.noise = self.noise
        self.parameters = dict(self.network.named_parameters())
        rows = [p.detach().reshape(models, -1) for p in self.parameters.values()]
        self.weights = torch.cat(rows, 1)
        self.weights += 0.2 * torch.randn(*self.weights.shape).to(DEVICE, self.dtype)
        shape = (COPIES, BANK, architecture.channels, self.size, self.size)
        self.bank = torch.randint(0, 256, shape, dtype=torch.uint8)
        self.bank[..., : self.size // 2] = 0
        self.bank = self.bank.to(DEVICE)
        self.labels = torch.randint(0, 10, (BANK,)).to(DEVICE)
        self.order = torch.randint(0, BANK, (images, models)).to(DEVICE)
        self.copies = torch.randint(0, COPIES, (images, models)).to(DEVICE)
        self.mean, self.std = torch.full((2, architecture.channels, 1, 1), 70.0).to(
            DEVICE, self.dtype
        )
        self.smoothing = torch.tensor([0.1, 0.0, 0.2][:models]).to(DEVICE, self.dtype)
        self.loss = torch.zeros(models, device=DEVICE, dtype=self.dtype)
        self.correct = torch.zeros(models, device=DEVICE, dtype=torch.int64)

    def kernels(self, images=None):
        return KernelNetwork(
            self.network,
            read_layers(self.network, self.models),
            models=self.models,
            images=images or self.images,
            precision=self.precision,
            noise=self.noise,
            mean=self.mean,
            std=self.std,
            smoothing=self.smoothing,
        )

    def gradients(self, kernels=None):
        return (kernels or self.kernels()).gradients(
            self.bank, self.labels, self.order, self.copies, self.weights, self.loss, self.correct
        )

    def logits_by_torch(self, weights):
        """In float64, as training or evaluation, whichever the network is set to."""
        sizes = [p.numel() // self.models for p in self.parameters.values()]
        values = [
            part.reshape(parameter.shape)
            for part, parameter in zip(weights.split(sizes, 1), self.parameters.values())
        ]
        images = self.bank[self.copies, self.order].double()
        x = images.sub_(self.mean).div_(self.std).flatten(1, 2)
        logits = functional_call(self.network, dict(zip(self.parameters, values)), x)
        return logits.unflatten(1, (self.models, -1))

    def by_torch(self):
        """The gradients and each model's loss by autograd, in float64; the statistics move."""
        self.network.double().train()
        weights = self.weights.double().requires_grad_()
        logits = self.logits_by_torch(weights)
        target = self.labels[self.order]
        logs = logits.log_softmax(2)
        losses = -logs.gather(2, target.unsqueeze(2)).squeeze(2).mean(0)
        smoothing = self.smoothing.double()
        objective = (1 - smoothing) * losses - smoothing * logs.mean(2).mean(0)
        (gradient,) = torch.autograd.grad(objective.sum(), weights)
        return gradient, losses.detach(), (logits.argmax(2) == target).sum(0)

    def errors(self, ours, theirs):
        """The relative error of each parameter's gradient, by the norm over all models; where that
        is 0 but for rounding (a bias before a batch norm), relative to a millionth of all."""
        sizes = [p.numel() // self.models for p in self.parameters.values()]
        pairs = zip(self.parameters, ours.split(sizes, 1), theirs.split(sizes, 1))
        size = theirs.norm()
        return {
            name: ((a - b).norm() / b.norm().clamp(min=1e-6 * size)).item() for name, a, b in pairs
        }


def assert_is_torchs(case, tolerance=1e-7):
    ours = case.gradients().clone()
    kernels = case.kernels()
    moved = {name: value.clone() for name, value in case.network.named_buffers()}
    images = case.bank[case.copies, case.order]
    logits = kernels.logits(images, case.weights)
    case.network.eval()
    case.network.double()
    torch.testing.assert_close(
        logits.double(), case.logits_by_torch(case.weights.double()),
        rtol=100 * tolerance, atol=10 * tolerance,
    )  # fmt: skip
    for name, value in case.network.named_buffers():
        if "running" in name or "batches" in name:
            value.fill_("var" in name)  # as before the step
    theirs, losses, right = case.by_torch()
    errors = case.errors(ours, theirs)
    assert max(errors.values()) < tolerance, errors
    torch.testing.assert_close(case.loss.double(), losses * case.images, rtol=tolerance, atol=0)
    assert case.correct.tolist() == right.tolist()
    for name, value in case.network.named_buffers():
        torch.testing.assert_close(
            moved[name].double(), value.double(), rtol=100 * tolerance, atol=tolerance, msg=name
        )


# Networks of each kind, and between them norms, affine modes, orders, paddings and dropouts.
NETWORKS = {
    "mnist_7684": {"norm": "group", "groups": 5},
    "mnist_7848": {"norm": "batch", "images": 2},
    "mnist_8008": {"norm": "layer", "norm_affine": "none", "dropout": 0.0},
    "mnist_9680": {"norm": "batch", "images": 2, "dropout": 0.0},
    "mnist_9802": {"norm": "layer", "norm_affine": "element", "dropout": 0.0},
    "cifar_48178": {"norm": "group"},
}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradients_of_each_network_are_torchs(network):
    assert_is_torchs(Case(ARCHITECTURES[network], **{"models": 1, "images": 1} | NETWORKS[network]))


ORDERS = {
    "norm, dropout, relu": ("norm", "dropout", "relu"),
    "norm, relu, dropout": ("norm", "relu", "dropout"),
    "relu, norm, dropout": ("relu", "norm", "dropout"),
    "norm, dropout": ("norm", "dropout"),
}


def small(order, **options):
    """An architecture with all there is: skips, a pool, a bare block, one without dropout."""
    blocks = (
        Conv(3, dropout=False), POOL, Conv(4, save_skip=True), Conv(4, add_skip=True),
        Conv(2, 1, bare=True), Conv(6, 1),
    )  # fmt: skip
    options = {"padding": True, "bias": True} | options
    return Architecture(blocks, ORDERS[order], channels=2, **options)


@pytest.mark.parametrize(
    "order, whole_channels, options",
    [
        ("norm, relu, dropout", False, {"norm": "batch"}),
        ("norm, dropout, relu", True, {"norm": "layer"}),
        ("relu, norm, dropout", False, {"norm": "group", "groups": 2}),
        ("norm, dropout", True, {"norm": "instance"}),
        ("norm, relu, dropout", True, {"norm": "layer", "norm_affine": "element"}),
        ("relu, norm, dropout", True, {"norm": "batch", "norm_affine": "none"}),
        ("norm, relu, dropout", True, {"norm": "none"}),
        ("norm, dropout, relu", True, {"norm": "none"}),
        ("norm, relu, dropout", True, {"norm": "instance", "norm_affine": "none", "dropout": 0.0}),
    ],
    ids=str,
)
def test_so_are_those_of_any_order_and_norm(order, whole_channels, options):
    architecture = small(order, whole_channels=whole_channels)
    assert_is_torchs(Case(architecture, models=1, images=2, size=5, **options))


@pytest.mark.parametrize("affine", ["channel", "element"])
def test_sums_over_images_are_split_and_added_up(affine):
    """Into two of nine images, of which the second has fewer."""
    architecture = Architecture((Conv(3),), ORDERS["norm, relu, dropout"])
    case = Case(architecture, images=9, size=5, norm="layer", norm_affine=affine)
    assert case.kernels().memory.splits == 2
    assert_is_torchs(case)


def test_tiles_are_walked_through_to_their_ends(monkeypatch):
    """Maps, sums and batches of many tiles each, the last of which is never full."""
    tiles = Tiles(pixels=4, depth=4, weights=4, channels=2, values=16, images=2, norm=2, least=1)
    monkeypatch.setattr(network, "TILES", {"float64": tiles})
    architecture = Architecture((Conv(3),), ORDERS["norm, relu, dropout"])
    assert_is_torchs(Case(architecture, models=1, images=3, size=5))


@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-4), ("bfloat16", 0.1)])
def test_other_precisions_are_near(precision, tolerance):
    """On a GPU products in float32 are TF32's."""
    architecture = Architecture((Conv(4), POOL, Conv(5)), ORDERS["norm, relu, dropout"])
    case = Case(architecture, images=4, size=8, precision=precision, norm="layer", dropout=0.1)
    ours = case.gradients().double().clone()
    errors = case.errors(ours, case.by_torch()[0])
    tolerance = max(tolerance, 1e-2) if DEVICE.type == "cuda" else tolerance
    assert max(errors.values()) < tolerance, errors


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_model_has_the_numbers_that_it_has_alone_to_the_bit(norm):
    architecture = Architecture((Conv(3), POOL, Conv(4)), ORDERS["norm, relu, dropout"])
    together = Case(architecture, images=2, size=8, norm=norm, precision="float32")
    gradients = together.gradients().clone()
    images = together.bank[together.copies, together.order]
    logits = together.kernels().logits(images, together.weights)
    k = 1
    alone = Case(architecture, models=1, images=2, size=8, norm=norm, precision="float32")
    for name in ("order", "copies"):
        setattr(alone, name, getattr(together, name)[:, k : k + 1].contiguous())
    alone.bank, alone.labels = together.bank, together.labels
    alone.weights, alone.smoothing = together.weights[k : k + 1], together.smoothing[k : k + 1]
    alone.noise.keys.copy_(together.noise.keys[k : k + 1])
    theirs = [m for m in together.network.modules() if isinstance(m, Dropouts)]
    for ours, other in zip((m for m in alone.network.modules() if isinstance(m, Dropouts)), theirs):
        ours.thresholds, ours.scales = other.thresholds[k : k + 1], other.scales[k : k + 1]
    assert torch.equal(alone.gradients(), gradients[k : k + 1])
    assert torch.equal(alone.loss, together.loss[k : k + 1])
    assert torch.equal(
        alone.kernels().logits(images[:, k : k + 1], alone.weights), logits[:, k : k + 1]
    )


def test_the_last_batch_may_be_smaller():
    architecture = Architecture((Conv(3), POOL, Conv(4)), ORDERS["norm, relu, dropout"])
    case = Case(architecture, models=1, images=3, size=8)
    whole = case.kernels(images=8)
    case.gradients(whole)
    case.order, case.copies = case.order[:2], case.copies[:2]
    ours = case.gradients(whole)
    errors = case.errors(ours, case.by_torch()[0])
    assert max(errors.values()) < 1e-7, errors


MODELS = {
    "sgd": (
        {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2, "l1": 1e-3},
        {"momentum": 0.8, "l1": 1e-1, "l1_reduction": "mean", "label_smoothing": 0.1},
    ),
    "adamw": ({"weight_decay": 1e-2, "label_smoothing": 0.1}, {"l1": 1e-3}),
}


@pytest.mark.parametrize("optimizer", MODELS)
def test_two_steps_of_a_pack_are_those_by_torch(optimizer, monkeypatch):
    architecture = Architecture((Conv(3), POOL, Conv(4)), ORDERS["norm, relu, dropout"])
    monkeypatch.setitem(ARCHITECTURES, "mnist_7684", architecture)
    load = data.load

    def few(config):
        whole = load(config)
        train = data.Split(whole.train.images[:4, :, :10, :10], whole.train.labels[:4])
        return dataclasses.replace(whole, train=train)

    small_digits = dataclasses.replace(load(Config()).spec, shape=(1, 10, 10))
    monkeypatch.setattr(data, "load", few)
    monkeypatch.setattr("study.datasets.spec", lambda name: small_digits)
    configs = [
        Config(precision="float64", batch_size=3, dropout=0.2, optimizer=optimizer, seed=k, **model)
        for k, model in enumerate(MODELS[optimizer])
    ]
    packs = []
    for devices in ((), {DEVICE.type}):
        monkeypatch.setattr(choice, "DEVICES", devices)
        pack = Pack(configs, [None, None], DEVICE)
        assert (pack.kernels is None) == (not devices)
        pack._train(1, [])  # a whole batch and the rest, by a CUDA graph where there is CUDA
        packs.append(pack)
    by_torch, ours = packs
    weights = by_torch.weights.detach()
    assert (ours.weights - weights).norm() < 1e-10 * weights.norm()
    for name, [matrix] in by_torch.optimizer_state.items():
        torch.testing.assert_close(ours.optimizer_state[name][0], matrix, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(ours.loss, by_torch.loss, rtol=1e-10, atol=0)
    assert torch.equal(ours.correct, by_torch.correct)
