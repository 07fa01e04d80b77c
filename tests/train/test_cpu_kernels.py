"""The kernels of a CPU: batch norm is torch's, dropout drops the right share, one switch."""

import copy

import pytest
import torch
from torch import nn

from study.config import Config
from study.train import cpu_kernels, loop, norms
from study.train.dropout import Dropout, Dropout2d


@pytest.mark.parametrize("p", [1e-6, 0.01, 0.029, 0.25, 0.9, 0.999])
def test_each_value_is_dropped_with_its_probability_and_independently(p):
    count = 10**6
    places = cpu_kernels.dropped(count, p, torch.Generator().manual_seed(1))
    share = torch.zeros(count, dtype=torch.float64)
    share[places] = 1
    error = (p * (1 - p) / count) ** 0.5
    assert share.sum() == len(places)  # none twice
    assert abs(share.mean() - p) < 5 * error
    both = (share[1:] * share[:-1]).mean()  # neighbours
    assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / count) ** 0.5 + 1e-6
    assert abs(share[: count // 2].mean() - p) < 5 * error * 2**0.5  # the first as the last


@pytest.mark.parametrize("p", [1e-7, 1e-19, 1e-30, 5e-324])
def test_a_tiny_probability_drops_next_to_nothing_and_ends(p, recwarn):
    places = cpu_kernels.dropped(1000, p, torch.Generator().manual_seed(1))
    assert len(places) <= 1 and not recwarn.list


def test_places_are_found_to_the_end_where_the_first_draw_was_too_short(monkeypatch):
    monkeypatch.setattr("study.train.cpu_kernels.math.sqrt", lambda _: -0.3)
    places = [
        cpu_kernels.dropped(50, 0.1, torch.Generator().manual_seed(seed)) for seed in range(4000)
    ]
    assert all((p.diff() > 0).all() and (p < 50).all() for p in places)
    share = torch.bincount(torch.cat(places), minlength=50) / 4000
    assert (share - 0.1).abs().max() < 5 * (0.1 * 0.9 / 4000) ** 0.5


SHAPES = [(8, 10, 6, 5), (7, 3, 1, 1), (5, 4, 3, 1), (5, 4, 1, 3), (6, 1, 4, 4), (64, 10, 26, 26)]


def passed(module, x, weights):
    """What a batch norm gives, leaves and passes back."""
    x = x.clone(memory_format=torch.channels_last).requires_grad_()
    y = module(x)
    (y * weights).sum().backward()
    return [y, x.grad, *(p.grad for p in module.parameters()), *module.buffers()]


@pytest.mark.parametrize("affine", ["channel", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_torchs_and_in_float32_nearer_to_the_truth(shape, affine, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "LARGE_MAP", 0)
    torch.manual_seed(1)
    x, weights = torch.randn(shape) * 3 + 2, torch.randn(shape)
    ours, theirs = norms.build("batch", shape[1], affine=affine), nn.BatchNorm2d(shape[1])
    assert isinstance(ours, norms.BatchNorm2d)
    theirs.affine = affine == "channel"
    if affine == "none":
        theirs.weight = theirs.bias = None
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    theirs.load_state_dict(ours.state_dict())
    errors = []
    exact = passed(copy.deepcopy(theirs).double(), x.double(), weights.double())
    for module in (ours, theirs):
        found = passed(copy.deepcopy(module), x, weights)
        errors.append([(a - b).abs().max() / b.abs().max() for a, b in zip(found, exact)])
        found = passed(copy.deepcopy(module).double(), x.double(), weights.double())
        torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-10)
    assert max(errors[0]) < 1e-5
    if shape[0] == 64:
        assert max(errors[0]) < max(errors[1])
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("module", [nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Dropout2d(0.3)])
def test_switched_off_torchs_own_are_used(module, monkeypatch):
    """Ours differ in the last digits (batch norm) or draw other masks."""
    monkeypatch.setattr(cpu_kernels, "LARGE_MAP", 0)
    kinds = {nn.BatchNorm2d: norms.BatchNorm2d, nn.Dropout: Dropout, nn.Dropout2d: Dropout2d}
    x = torch.randn(64, 8, 26, 26).contiguous(memory_format=torch.channels_last)

    def output(kind):
        torch.manual_seed(1)
        return kind(8)(x) if isinstance(module, nn.BatchNorm2d) else kind(module.p)(x)

    expected, ours = output(type(module)), kinds[type(module)]
    assert not torch.equal(output(ours), expected)
    monkeypatch.setattr(cpu_kernels, "ENABLED", False)
    assert torch.equal(output(ours), expected)


def test_the_summary_says_which_ran(tiny_run, tmp_path, monkeypatch):
    assert tiny_run.summary["kernels"] == "cpu_kernels"
    monkeypatch.setattr(cpu_kernels, "ENABLED", False)
    run = loop.train(Config(epochs=1, batch_size=512), tmp_path, device="cpu")
    assert run.summary["kernels"] == "torch"
    assert cpu_kernels.name(torch.device("cuda")) == "torch"
