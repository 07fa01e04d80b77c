"""What only a GPU shows: its kernels, its CUDA graphs, its memory.

tests/train/kernels/test_network.py runs compiled there too.
"""

import dataclasses
import itertools
import statistics

import pytest
import torch

from study import runs
from study.config import Config
from study.train import loop, pack_runs
from study.train.callback import Callback
from study.train.kernels import choice
from study.train.pack import Pack
from tests.conftest import CutOff
from tests.train.test_pack_runs import (
    NORMS,
    Stops,
    assert_same,
    few_untied_images,  # noqa: F401 (a fixture for every test)
    pack_of,
    weights,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICE = "cuda"
KERNELS = pytest.mark.parametrize("kernels", ["triton", "torch"])


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train configurations as a pack on the GPU by one sort of kernels; their runs."""
    count = itertools.count()

    def run(configs, kernels="triton", **options):
        monkeypatch.setattr(choice, "DEVICES", {DEVICE} if kernels == "triton" else set())
        folder = tmp_path / "pack" / str(next(count))
        folders = [folder / str(k) for k in range(len(configs))]
        results = pack_runs.train(configs, folders, device=DEVICE, **options)
        assert all(result.summary["kernels"] == kernels for result in results)
        return results

    return run


def without_dropout(configs):
    """The loop draws other masks."""
    return [dataclasses.replace(config, dropout=0.0) for config in configs]


def assert_equal(one, other):
    """The same weights to the bit."""
    ours, theirs = weights(one), weights(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_accuracies_are_the_cpus_within_the_noise_of_seeds(train, tmp_path, monkeypatch):
    """Of all digits; a minute, nearly all of it the CPU's, and so begun first."""
    monkeypatch.undo()
    configs = [Config(norm="group", epochs=3, dropout=0.05, seed=seed) for seed in range(20)]
    gpu = train(configs)
    cpu = [loop.train(c, tmp_path / "cpu" / str(c.seed), device="cpu") for c in configs]
    ours, theirs = ([run.summary["test_accuracy_last"] for run in part] for part in (gpu, cpu))
    error = (sum(statistics.variance(part) for part in (ours, theirs)) / 20) ** 0.5
    assert abs(statistics.mean(ours) - statistics.mean(theirs)) < 3 * error


@KERNELS
@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: "-".join(map(str, norm.values())))
def test_a_pack_is_the_loop_on_a_cpu(norm, kernels, train, tmp_path):
    """Also of the last, smaller batch, and of images from the bank."""
    configs = without_dropout(pack_of(precision="float64", augment="rotate7", **norm))
    for run, config in zip(train(configs, kernels), configs):
        expected = loop.train(config, tmp_path / "alone" / runs.name(config), device="cpu")
        assert_same(run, expected, 1e-7)


@pytest.mark.parametrize("network", ["mnist_7684", "mnist_9680", "cifar_48178"])
def test_both_sorts_of_kernels_drop_the_same(network, train):
    configs = pack_of(precision="float64", network=network)
    for ours, theirs in zip(train(configs), train(configs, "torch")):
        assert_same(ours, theirs, 1e-7)


@KERNELS
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_what_was_cut_off_goes_on_with_the_same_masks(norm, kernels, train, tmp_path, monkeypatch):
    configs = pack_of(precision="float64", norm=norm, epochs=3)
    whole = train(configs, kernels)
    folders = [tmp_path / "cut" / str(k) for k in range(len(configs))]
    with pytest.raises(KeyboardInterrupt):
        callbacks = [*(Callback() for _ in configs[1:]), CutOff(2)]
        pack_runs.train(configs, folders, device=DEVICE, callbacks=callbacks)
    for run, expected in zip(pack_runs.train(configs, folders, device=DEVICE), whole):
        assert_same(run, expected)


def test_a_run_is_the_same_alone_in_a_pack_and_when_others_leave_it(train):
    """By Triton's kernels, to the bit."""
    configs = pack_of(epochs=3)
    together = train(configs)
    left = train(configs, callbacks=[Callback(), Stops(after=1), Stops(after=2), Callback()])
    assert [run.state for run in left] == ["finished", "stopped", "stopped", "finished"]
    for k in (0, 3):
        assert_equal(train(configs[k : k + 1])[0], together[k])
        assert_equal(left[k], together[k])


@pytest.mark.parametrize("precision, limit", [("float32", 0.2), ("bfloat16", 0.5)])
@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_the_gradients_of_a_step_are_near_those_in_float64(norm, precision, limit):
    """By the norm of all of a model's: a bias may be 0 but for rounding. Values that rounding moves
    across a ReLU's zero, or past another of a pool, make it differ by far more than a mantissa's
    last bit; that the kernels are right, float64 shows."""
    found = []
    for each in (precision, "float64"):
        configs = pack_of(norm=norm, precision=each)
        pack = Pack(configs, [None] * len(configs), torch.device(DEVICE))
        order = torch.arange(32, device=DEVICE).view(-1, 1).repeat(1, len(configs))
        found.append(pack._gradient(order, torch.zeros_like(order)).double().clone())
    ours, exact = found
    assert ((ours - exact).norm(dim=1) / exact.norm(dim=1)).max() < limit


@KERNELS
@pytest.mark.parametrize("recording", [False, True])
def test_out_of_memory_in_a_step_or_its_recording_halves_the_pack(
    recording, kernels, train, monkeypatch
):
    configs, learn = pack_of(precision="float64"), Pack.learn
    expected = train(configs, kernels)

    def narrow(pack, *batch):
        learn(pack, *batch)
        if len(pack.configs) > 2 and torch.cuda.is_current_stream_capturing() == recording:
            torch.empty(2**50, dtype=torch.uint8, device=DEVICE)

    monkeypatch.setattr(Pack, "learn", narrow)
    for run, whole in zip(train(configs, kernels), expected):
        assert run.summary["pack"] == 2
        assert_same(run, whole)
