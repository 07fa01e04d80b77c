"""What an L1 lambda means: nothing without its reduction."""

import functools

from torch import nn

from study import datasets
from study.config import Config, number
from study.datasets import DatasetSpec
from study.train import networks


def scales(config: Config, parameters: list[nn.Parameter]) -> list[float]:
    """What |w| of each tensor is multiplied by in the L1 term: l1, or l1 / its elements (mean)."""
    if config.l1_reduction == "sum":
        return [config.l1] * len(parameters)
    return [config.l1 / p.numel() for p in parameters]


def equivalent(config: Config) -> float:
    """The lambda that pulls as much in all under the other l1_reduction.

    The L1 term pulls at each weight with lambda (sum) or with lambda / the elements of the
    weight's tensor (mean). Over the N weights in T tensors of a network that is lambda N or
    lambda T in all, so that a lambda as a mean equals lambda T / N as a sum. Only in all: a mean
    pulls harder at the small tensors, such as a norm's scale and shift, than at the large ones.
    """
    share = _tensors_by_weights(networks.shaping(config), datasets.spec(config.dataset))
    return config.l1 * share if config.l1_reduction == "mean" else config.l1 / share


@functools.lru_cache(maxsize=64)
def _tensors_by_weights(config: Config, _spec: DatasetSpec) -> float:
    sizes = [parameter.numel() for parameter in networks.build(config).parameters()]
    return len(sizes) / sum(sizes)


def describe_equivalence(config: Config) -> str:
    """The same in a sentence: `L1 0.001 (mean) pulls as much in all as 1.7e-6 (sum)`."""
    other = {"mean": "sum", "sum": "mean"}[config.l1_reduction]
    equal = number(float(f"{equivalent(config):.1e}"))
    return (
        f"L1 {number(config.l1)} ({config.l1_reduction}) pulls as much in all at the weights of"
        f" {config.network} as {equal} ({other}) would"
    )
