"""Kernels where there are CUDA, Triton and a known network; torch where one is missing."""

import importlib.util
import logging

import pytest
import torch
from torch import nn

from study.architectures import ARCHITECTURES
from study.train.blocks import Network
from study.train.dropout import Noise
from study.train.kernels import choice

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ONE = torch.ones(1)
SETTINGS = {
    "models": 1, "images": 2, "precision": "float32", "noise": Noise([1], CPU), "mean": ONE,
    "std": ONE, "smoothing": ONE,
}  # fmt: skip


def network(**options):
    return Network(ARCHITECTURES["mnist_7684"], dropout=[0.1], copies=1, **options)


def test_other_devices_and_a_machine_without_triton_have_torchs(monkeypatch):
    assert choice.build(network(), CPU, **SETTINGS) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choice.build(network(), CUDA, **SETTINGS) is None


@pytest.fixture
def compiled(monkeypatch):
    """Compiling, as far as it gets without a GPU; how often it was asked for."""
    network_module = pytest.importorskip("study.train.kernels.network")
    calls = []
    monkeypatch.setattr(network_module.KernelNetwork, "compile", lambda self: calls.append(self))
    return calls


def test_a_network_with_an_unknown_module_has_torchs(compiled):
    changed = network()
    changed.features[0].norm = nn.LocalResponseNorm(2)
    assert choice.build(changed, CUDA, **SETTINGS) is None
    kernels = choice.build(network(), CUDA, **SETTINGS)
    assert compiled == [kernels]


def test_so_has_one_where_triton_cannot_compile(compiled, monkeypatch, caplog):
    def fail(self):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC.")

    monkeypatch.setattr("study.train.kernels.network.KernelNetwork.compile", fail)
    with caplog.at_level(logging.WARNING):
        assert choice.build(network(), CUDA, **SETTINGS) is None
    [record] = caplog.records
    assert record.getMessage().endswith("torch's kernels do: Failed to find C compiler.")


def test_out_of_memory_is_no_reason(compiled, monkeypatch):
    def fail(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("study.train.kernels.network.KernelNetwork.compile", fail)
    with pytest.raises(torch.OutOfMemoryError):  # the pack is halved
        choice.build(network(), CUDA, **SETTINGS)
