import copy

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.train import cpu_kernels, norms


def test_groups_are_the_largest_divisor_at_most_as_asked():
    assert [norms.largest_divisor(c, 5) for c in (10, 15, 32, 7)] == [5, 5, 4, 1]
    assert [norms.largest_divisor(c, 3) for c in (10, 18, 16, 20, 32)] == [2, 3, 2, 2, 2]
    assert norms.largest_divisor(8, 100) == 8


@pytest.mark.parametrize(
    ("norm", "dims"), [("batch", (0, 2, 3)), ("layer", (1, 2, 3)), ("instance", (2, 3))]
)
def test_each_norm_shares_its_statistics_over_its_own_axes(norm, dims):
    x = torch.randn(6, 8, 5, 5, dtype=torch.float64) * 3 + 2
    ours = norms.build(norm, 8).double()(x)
    mean = x.mean(dims, keepdim=True)
    variance = x.var(dims, keepdim=True, unbiased=False)
    torch.testing.assert_close(ours, (x - mean) / (variance + 1e-5).sqrt())


def test_group_norm_shares_over_a_group():
    x = torch.randn(3, 8, 4, 4, dtype=torch.float64)
    ours = norms.build("group", 8, groups=2).double()(x)
    first = x[:, :4]
    mean = first.mean((1, 2, 3), keepdim=True)
    variance = first.var((1, 2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(ours[:, :4], (first - mean) / (variance + 1e-5).sqrt())


SHAPES = [(8, 10, 6, 5), (7, 3, 1, 1), (5, 4, 3, 1), (5, 4, 1, 3), (6, 1, 4, 4), (64, 10, 26, 26)]


def passed(module, x, goal):
    """What a batch norm gives, leaves and passes back."""
    x = x.clone(memory_format=torch.channels_last).requires_grad_()
    y = module(x)
    (y * goal).sum().backward()
    return [y, x.grad, *(p.grad for p in module.parameters()), *module.buffers()]


@pytest.mark.parametrize("affine", ["channel", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_torchs_and_in_float32_nearer_to_the_truth(shape, affine, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "LARGE_MAP", 0)
    torch.manual_seed(1)
    x, goal = torch.randn(shape) * 3 + 2, torch.randn(shape)
    ours, theirs = norms.build("batch", shape[1], affine=affine), nn.BatchNorm2d(shape[1])
    assert isinstance(ours, norms.BatchNorm2d)
    theirs.affine = affine == "channel"
    if affine == "none":
        theirs.weight = theirs.bias = None
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    theirs.load_state_dict(ours.state_dict())
    errors = []
    exact = passed(copy.deepcopy(theirs).double(), x.double(), goal.double())
    for module in (ours, theirs):
        found = passed(copy.deepcopy(module), x, goal)
        errors.append([(a - b).abs().max() / b.abs().max() for a, b in zip(found, exact)])
        found = passed(copy.deepcopy(module).double(), x.double(), goal.double())
        torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-10)
    assert max(errors[0]) < 1e-5
    if shape[0] == 64:
        assert max(errors[0]) < max(errors[1])
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_parameters_of_each_affine_mode():
    def count(*args, **options):
        return sum(p.numel() for p in norms.build(*args, **options).parameters())

    for norm in ("batch", "layer", "group", "instance"):
        assert count(norm, 8) == 16
        assert count(norm, 8, affine="none") == 0
    assert count("none", 8) == 0
    assert count("layer", 8, affine="element", size=(5, 6)) == 2 * 8 * 5 * 6
    assert isinstance(norms.build("layer", 8, affine="element", size=(5, 6)), nn.LayerNorm)
    with pytest.raises(UsageError, match="norm_affine=element"):
        norms.build("layer", 8, affine="element")
