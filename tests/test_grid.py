"""The configurations of a grid, made as they are asked for."""

import itertools

import pytest

from study.config import Config
from study.errors import UsageError
from study.grid import Grid

VALUES = {
    "lr": [0.1, 0.2, 0.1],
    "norm": ["batch", "group"],
    "seed": [1, 2],
    "groups": [2, 4],
    "dropout": [0.0, 0.5],
}


def product() -> list[Config]:
    rows = itertools.product(*VALUES.values())
    return list(dict.fromkeys(Config.from_sweep(dict(zip(VALUES, row))) for row in rows))


def test_it_is_the_product_in_its_order_each_once():
    grid = Grid(VALUES)
    assert list(grid) == list(grid) == product()
    assert len(grid) == len(product()) == 24
    assert list(Grid(VALUES, cap=5)) == product()[:5] and len(Grid(VALUES, cap=5)) == 5


@pytest.mark.parametrize("cap", [None, 5, 100])
def test_it_knows_what_is_in_it(cap):
    grid, inside = Grid(VALUES, cap), product()[:cap]
    assert all(config in grid for config in inside)
    others = [
        *product()[len(inside) :],
        Config(),
        Config(lr=0.1, seed=1, l1=0.1),
        Config(lr=0.3),
    ]
    assert not any(config in grid for config in others)
    assert "lr" not in grid


def test_what_is_told_of_a_large_one_is_known_at_once(monkeypatch):
    """As many configurations as there are seeds to the third power, none of which is made."""
    made = []
    with_values = Config.with_values
    monkeypatch.setattr(
        Config, "with_values", lambda *arguments: made.append(1) or with_values(*arguments)
    )
    many = [i / 1000 for i in range(1, 1000)]
    grid = Grid({"variant": ["norm=batch", "norm=layer"], "lr": many, "dropout": many, "seed": [1]})
    assert len(grid) == 2 * 999**2
    assert Config(norm="layer", lr=0.5, dropout=0.999, seed=1) in grid
    assert [c.dropout for c in itertools.islice(grid, 3)] == [0.001, 0.002, 0.003]
    assert len(made) < 10


def test_samples_show_every_value():
    samples = Grid(VALUES).samples()
    assert len(samples) < 10 and set(samples) <= set(product())
    for name, values in VALUES.items():
        assert {getattr(config, name) for config in samples} >= set(values)
    assert Grid(VALUES, cap=5).samples() == product()[:5]


def test_all_combinations_that_are_not_allowed_are_told():
    values = {"norm": ["batch", "layer"], "norm_affine": ["element"], "holdout": [5, 0]}
    with pytest.raises(UsageError) as error:
        Grid(values | {"seed": range(10**9 // 10**6)})
    assert len(str(error.value).splitlines()) == 2
    assert "norm_affine=element: needs norm=layer" in str(error.value)
    assert "holdout=5" in str(error.value)


def test_what_is_not_allowed_is_refused_or_left_out():
    values = {"variant": ["norm=batch groups=2", "norm=group groups=2"], "seed": [1, 2]}
    with pytest.raises(UsageError, match="groups=2: has no effect"):
        Grid(values)
    told = []
    grid = Grid(values, refused=told.append)
    assert [config.seed for config in grid] == [1, 2] and len(grid) == 2
    assert {config.norm for config in grid} == {"group"} and len(told) == 1
