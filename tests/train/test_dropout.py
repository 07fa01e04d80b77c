"""Dropout: the right share, the right scale, drawn from torch's seed."""

import pytest
import torch

from study.train.dropout import Dropout, Dropout2d, Dropouts

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
