import pytest
import torch
from torch import nn

from study.config import largest_divisor
from study.errors import UsageError
from study.train import norms


def test_groups_are_the_largest_divisor_at_most_as_asked():
    assert [largest_divisor(c, 5) for c in (10, 15, 32, 7)] == [5, 5, 4, 1]
    assert [largest_divisor(c, 3) for c in (10, 18, 16, 20, 32)] == [2, 3, 2, 2, 2]
    assert largest_divisor(8, 100) == 8


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
