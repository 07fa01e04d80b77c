"""Parameters of a sweep: what they are parsed to, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from study.errors import UsageError
from study.sweep import space
from tests.sweep.test_distributions import made, sample


def test_whole_numbers_and_choices():
    whole = made("int_uniform", {"min": 2, "max": 5}, "groups")
    values, counts = np.unique(sample(whole), return_counts=True)
    assert values.tolist() == [2, 3, 4, 5] and stats.chisquare(counts).pvalue > 1e-3
    assert all(isinstance(whole.decode(whole.sample(0, i)), int) for i in range(3))
    names = space.parse("norm", {"values": ["batch", "layer"]}, "bayes")
    _, counts = np.unique(sample(names), return_counts=True)
    assert stats.chisquare(counts).pvalue > 1e-3
    loaded = {"values": ["batch", "layer", "group"], "probabilities": [0.7, 0.2, 0.1]}
    values, counts = np.unique(sample(space.parse("norm", loaded, "random")), return_counts=True)
    expected = dict(zip(loaded["values"], loaded["probabilities"]))
    assert stats.chisquare(counts, [1000 * expected[v] for v in values]).pvalue > 1e-3


def test_a_parameter_added_leaves_the_draws_of_the_others():
    one, other = made("uniform", {"min": 0, "max": 1.0}), made("beta", {}, "dropout")
    assert one.sample(1, 2) == made("uniform", {"min": 0, "max": 1.0}).sample(1, 2)
    draws = {p.sample(seed, n) for p in (one, other) for seed in (0, 1) for n in (0, 1)}
    assert len(draws) == 8


@pytest.mark.parametrize(
    ("name", "given", "messages"),
    [
        ("l1", {"distribution": "unform", "min": 0, "max": 1}, ["unform", "uniform"]),
        ("l1", {"distribution": "uniform", "min": 0}, ["uniform lacks max"]),
        ("l1", {"distribution": "normal", "mean": 0}, ["normal has no mean"]),
        ("l1", {"min": 1.0, "max": 0.5}, ["min=1", "below max=0.5"]),
        ("l1", {"min": "1e-6", "max": 0.5}, ["1.0e-6"]),
        ("l1", {"distribution": "log_uniform_values", "min": 0, "max": 1.0}, ["above 0"]),
        ("l1", {"distribution": "q_uniform", "min": 0, "max": 1.0, "q": 0}, ["q=0", "above 0"]),
        ("l1", {"distribution": "normal", "mu": 0, "sigma": 1}, ["l1=-3.09", "at least 0"]),
        ("l1", {"distribution": ["uniform"], "min": 0, "max": 1.0}, ["distribution=['uniform']"]),
        ("groups", {"distribution": "int_uniform", "min": 1, "max": np.inf}, ["max=inf", "number"]),
        ("lr", {"distribution": "log_uniform", "min": 1, "max": 1000}, ["natural logarithms"]),
        ("lr", {"distribution": "log_normal", "mu": 1000}, ["mu=1000", "natural logarithm"]),
        (
            "batch_size",
            {"distribution": "q_log_uniform", "min": 16, "max": 1024},
            ["q_log_uniform_values takes the bounds"],
        ),
        ("dropout", {"min": 0.0, "max": 1.5}, ["parameters.dropout.max=1.5", "below 1"]),
        ("groups", {"min": 1.0, "max": 4.0}, ["groups is whole", "int_uniform"]),
        ("groups", {"min": 0, "max": 4}, ["parameters.groups.min=0", "at least 1"]),
        ("norm", {"min": 0, "max": 4}, ["norm is no number"]),
        (
            "norm",
            {"values": ["batch"], "probabilities": [0.5]},
            ["parameters.norm.probabilities", "allowed is 1"],
        ),
        ("l1", {"values": [0.1], "value": 0.1}, ["one of the two"]),
        ("l1", {"distribution": "categorical", "value": 0.1}, ["did you mean values?"]),
        (
            "norm",
            {"distribution": "categorical", "values": ["batch"], "probabilities": [1]},
            ["has no probabilities; categorical_w_probabilities has"],
        ),
        (
            "seed",
            {"distribution": "int_uniform", "min": 1.0, "max": 4},
            ["seed.min=1.0: int_uniform needs a whole number"],
        ),
        (
            "norm",
            {"value": ["batch", "layer"]},
            ["norm.value=['batch', 'layer'] (a list)", "write `values: [batch, layer]`"],
        ),
        ("l1", {"value": [0.1, 1e-6]}, ["(a list)", "write `values: [0.1, 1e-6]`"]),
        ("variant", {"value": ["l1=1"]}, ["; for several values write `values: [l1=1]`"]),
        ("l1", {"values": 0.1}, ["l1.values=0.1", "for a single value write `value: 0.1`"]),
        ("l1", {"distribution": "uniform_values", "min": 0, "max": 1.0}, ["did you mean uniform?"]),
    ],
)
def test_a_wrong_parameter_is_refused(name, given, messages):
    with pytest.raises(UsageError) as error:
        space.parse(name, given, "bayes")
    for words in messages:
        assert words in str(error.value)
