"""Dropout: the right share, the right scale, drawn from torch's seed."""

import pytest
import torch

from study.train import cpu_kernels
from study.train.dropout import Dropout, Dropout2d, Dropouts, Noise

SHAPE = torch.Size((64, 10, 24, 24))


def seeded(module, x, seed=1):
    torch.manual_seed(seed)
    return module(x)


@pytest.mark.parametrize("p", [0.05, 0.5])
@pytest.mark.parametrize("module", [Dropout, Dropout2d])
def test_what_is_kept_is_scaled_and_evaluation_changes_nothing(module, p):
    x, layer = torch.rand(SHAPE) + 1, module(p)
    y = seeded(layer, x)
    torch.testing.assert_close(y, torch.where(y == 0, 0, x / (1 - p)))
    assert 0 < (y == 0).double().mean() < 1
    whole = (y == 0).flatten(2)
    assert (whole.all(2) == whole.any(2)).all() == (module is Dropout2d)
    assert layer.eval()(x) is x


def test_in_place_it_does_the_same():
    x = torch.rand(SHAPE).contiguous(memory_format=torch.channels_last)
    results = []
    for inplace in (False, True):
        leaf = x.clone().requires_grad_()
        y = seeded(Dropout(0.3, inplace=inplace), leaf * 2)
        (y * x).sum().backward()
        results.append((y.detach(), leaf.grad))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_the_gradient_goes_where_the_value_went():
    x = torch.rand(SHAPE, requires_grad=True)
    y = seeded(Dropout(0.3), x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y != 0) / 0.7, check_dtype=False)


def test_masks_follow_torchs_seed():
    x, layer = torch.rand(SHAPE), Dropout(0.5)
    assert torch.equal(seeded(layer, x), seeded(layer, x))
    assert not torch.equal(seeded(layer, x), seeded(layer, x, seed=2))
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("alone, whole", [(Dropout, False), (Dropout2d, True)])
def test_copies_side_by_side_draw_what_each_draws_alone(alone, whole):
    probabilities, x = (0.1, 0.0, 0.4), torch.rand(SHAPE)
    side_by_side = Dropouts(probabilities, whole)
    side_by_side.generators = [torch.Generator().manual_seed(k) for k in range(3)]
    results = side_by_side(torch.cat([x] * 3, 1)).chunk(3, 1)
    for k, p in enumerate(probabilities):
        assert torch.equal(results[k], seeded(alone(p), x, seed=k) if p else x)


CPU = torch.device("cpu")


def share(noise, layer=0, places=10**6):
    """Noise as numbers from 0 to 1, [keys, places]."""
    return noise.draw(layer, places).double() / 2**32


def correlation(a, b):
    return (((a - 0.5) * (b - 0.5)).mean() * 12).item()


def test_noise_is_even_and_its_neighbours_are_independent():
    """Neighbours in place, step, layer and key, also of keys as alike as they can be."""
    noise = Noise([2**40 + 1, 2**40 + 2], CPU)
    ours, other = share(noise)
    limit = 5 / 10**3  # five standard errors of a million
    assert abs(ours.mean() - 0.5) < limit * (1 / 12) ** 0.5
    assert abs(ours.var() - 1 / 12) < limit * (1 / 180) ** 0.5
    assert abs(correlation(ours, other)) < limit
    for lag in (1, 2, 3, 8, 26, 28, 32, 676, 784, 1024, 6760):
        assert abs(correlation(ours[lag:], ours[:-lag])) < limit * 1.01, lag
    for layer in (1, 2, 7):
        assert abs(correlation(ours, share(noise, layer)[0])) < limit
    for step in (1, 2, 469, 2**20):
        noise.step.fill_(step)
        assert abs(correlation(ours, share(noise)[0])) < limit
    counts = torch.histc(ours, 1000, 0, 1)
    chi_squared = ((counts - 1000) ** 2 / 1000).sum()
    assert abs(chi_squared - 999) < 5 * (2 * 999) ** 0.5


@pytest.mark.parametrize("p", [0.0, 0.029, 0.5, 0.999])
def test_off_the_cpu_each_copy_drops_its_own_share(p, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "ENABLED", False)
    layer, x = Dropouts((p, 0.25), False, layer=3), torch.rand(20, 2 * 10, 24, 24) + 1
    layer.noise = Noise([5, 6], CPU)
    y = layer(x)
    for part, whole, rate in zip(y.chunk(2, 1), x.chunk(2, 1), (p, 0.25)):
        torch.testing.assert_close(part, torch.where(part == 0, 0, whole / (1 - rate)))
        both = ((part[..., 1:] == 0) & (part[..., :-1] == 0)).double().mean()
        for got, expected in (((part == 0).double().mean(), rate), (both, rate**2)):
            assert abs(got - expected) <= 5 * (expected * (1 - expected) / 1.1e5) ** 0.5


@pytest.mark.parametrize("whole_channels", [False, True])
def test_off_the_cpu_a_copy_does_not_depend_on_its_neighbours(whole_channels, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "ENABLED", False)
    x = torch.rand(4, 3 * 5, 6, 6)
    together = Dropouts((0.1, 0.2, 0.3), whole_channels, layer=2)
    together.noise = Noise([7, 8, 2**64 - 9], CPU)
    alone = Dropouts((0.3,), whole_channels, layer=2)
    alone.noise = Noise([2**64 - 9], CPU)
    assert torch.equal(together(x)[:, 10:], alone(x[:, 10:]))
    before = alone(x[:, 10:])
    alone.noise.step += 1
    assert not torch.equal(alone(x[:, 10:]), before)
