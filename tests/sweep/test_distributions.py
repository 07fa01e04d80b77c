"""W&B's distributions: their samples against scipy's, their quantiles against W&B's own."""

import json

import numpy as np
import pytest
from scipy import stats

from study.sweep import distributions, space
from study.sweep.parameter import Parameter
from tests.sweep.wandb_reference import DISTRIBUTIONS, FILE, UNIFORM

REFERENCE = json.loads(FILE.read_text())
CONTINUOUS = {
    "uniform": ({"min": 0.1, "max": 0.5}, stats.uniform(0.1, 0.4)),
    "log_uniform": ({"min": -7.0, "max": -2.0}, stats.loguniform(np.exp(-7), np.exp(-2))),
    "log_uniform_values": ({"min": 1e-6, "max": 1e-3}, stats.loguniform(1e-6, 1e-3)),
    "inv_log_uniform": ({"min": 2.0, "max": 7.0}, stats.loguniform(np.exp(-7), np.exp(-2))),
    "inv_log_uniform_values": ({"min": 1e-6, "max": 1e-3}, stats.loguniform(1e-6, 1e-3)),
    "normal": ({"mu": 0.5, "sigma": 0.05}, stats.norm(0.5, 0.05)),
    "log_normal": ({"mu": -5.0, "sigma": 0.5}, stats.lognorm(0.5, scale=np.exp(-5))),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
}
ROUNDED = {
    "q_uniform": ({"min": 0.0, "max": 1.0, "q": 0.1}, stats.uniform(0, 1)),
    "q_log_uniform": ({"min": -3.0, "max": 3.0, "q": 0.5}, stats.loguniform(*np.exp([-3, 3]))),
    "q_log_uniform_values": ({"min": 0.1, "max": 8.0, "q": 0.5}, stats.loguniform(0.1, 8)),
    "q_normal": ({"mu": 5.0, "sigma": 1.0, "q": 0.5}, stats.norm(5, 1)),
    "q_log_normal": ({"mu": 0.5, "sigma": 0.5, "q": 0.25}, stats.lognorm(0.5, scale=np.exp(0.5))),
    "q_beta": ({"a": 2.0, "b": 2.0, "q": 0.1}, stats.beta(2, 2)),
}


def made(kind: str, given: dict, name: str = "l1") -> Parameter:
    return space.parse(name, {"distribution": kind, **given}, "random")


def sample(parameter: Parameter, count: int = 1000) -> np.ndarray:
    return np.array([parameter.decode(parameter.sample(7, i)) for i in range(count)])


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_samples_follow_the_density(kind):
    given, density = CONTINUOUS[kind]
    assert stats.kstest(sample(made(kind, given)), density.cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", ROUNDED)
def test_samples_are_the_density_rounded(kind):
    given, density = ROUNDED[kind]
    values, q = sample(made(kind, given)), given["q"]
    assert np.allclose(values / q, np.round(values / q))
    distinct, counts = np.unique(values, return_counts=True)
    share = density.cdf(distinct + q / 2) - density.cdf(distinct - q / 2)
    often = share * len(values) >= 5
    expected = share[often] / share[often].sum() * counts[often].sum()
    assert often.sum() >= 4 and stats.chisquare(counts[often], expected).pvalue > 1e-3


@pytest.mark.parametrize("kind", REFERENCE["quantiles"])
def test_quantiles_are_those_of_wandb(kind):
    """The same uniform number gives W&B's own value, to the four digits that we keep."""
    parameter = made(kind, DISTRIBUTIONS[kind], "groups" if kind == "int_uniform" else "l1")
    values = [parameter.decode(parameter.quantile(u)) for u in UNIFORM]
    assert values == pytest.approx(REFERENCE["quantiles"][kind], rel=1e-3, abs=1e-9)


def test_every_distribution_of_wandb_is_known():
    assert set(REFERENCE["distributions"]) == set(distributions.ALLOWED)
    chosen = {"categorical", "categorical_w_probabilities", "constant"}
    assert set(REFERENCE["quantiles"]) == set(distributions.ALLOWED) - chosen
