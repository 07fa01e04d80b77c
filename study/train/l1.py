"""The L1 term: its scales, its value, its gradient, and what its lambda means.

The term is the sum over all parameters of scale * |w|. Its value is never part of a graph: training
adds its gradient, scale * sign(w), to that of the loss.
"""

import dataclasses
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from study import datasets
from study.config import Config
from study.datasets import DatasetSpec
from study.train import networks
from study.values import number


def scales(config: Config, parameters: Sequence[Tensor]) -> list[float]:
    """Return what |w| of each tensor is multiplied by: l1, or l1 / its elements (mean)."""
    if config.l1_reduction == "sum":
        return [config.l1] * len(parameters)
    return [config.l1 / p.numel() for p in parameters]


def scale_tensors(config: Config, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the scales as tensors of no dimension, each like its parameter."""
    return [p.new_tensor(scale) for p, scale in zip(parameters, scales(config, parameters))]


def scale_rows(configs: Sequence[Config], parameters: Sequence[Tensor]) -> Tensor:
    """Return the scale of each weight of a pack, [models, weights]; parameters: of one model."""
    sizes = torch.tensor([p.numel() for p in parameters], device=parameters[0].device)
    by_tensor = parameters[0].new_tensor([scales(config, parameters) for config in configs])
    return by_tensor.repeat_interleave(sizes, 1)


@torch.no_grad()
def add_gradient(
    gradients: Sequence[Tensor], weights: Sequence[Tensor], scales: Sequence[Tensor]
) -> None:
    """Add the gradient of the L1 term in place: of a run's tensors, or of a pack's one matrix."""
    for gradient, weight, scale in zip(gradients, weights, scales):
        gradient.addcmul_(weight.sign(), scale)


@torch.no_grad()
def value(weights: Sequence[Tensor], scales: Sequence[Tensor]) -> float:
    """Compute the L1 term of a run's tensors, one scale a tensor."""
    return torch.stack([w.abs().sum() * scale for w, scale in zip(weights, scales)]).sum().item()


@torch.no_grad()
def row_values(weights: Tensor, scales: Tensor) -> list[float]:
    """Compute the L1 term of each row of a pack, [models, weights] both."""
    return (weights.abs() * scales).sum(1).tolist()


def equivalent(config: Config) -> float:
    """Return the lambda that pulls as much in all under the other l1_reduction.

    The L1 term pulls at each weight with lambda (sum) or with lambda / the elements of the
    weight's tensor (mean). Over the N weights in T tensors of a network that is lambda N or
    lambda T in all, so that a lambda as a mean equals lambda T / N as a sum. Only in all: a mean
    pulls harder at the small tensors, such as a norm's scale and shift, than at the large ones.
    """
    shape = dataclasses.replace(networks.shaping(config), dropout=0.0)  # which adds no weight
    share = _tensors_by_weights(shape, datasets.spec(config.dataset))
    return config.l1 * share if config.l1_reduction == "mean" else config.l1 / share


@functools.lru_cache(maxsize=64)
def _tensors_by_weights(config: Config, _spec: DatasetSpec) -> float:
    sizes = [parameter.numel() for parameter in networks.build(config).parameters()]
    return len(sizes) / sum(sizes)


def describe_equivalence(config: Config) -> str:
    """Say the same in a sentence: `L1 0.001 (mean) pulls as much in all as 1.7e-6 (sum)`."""
    other = {"mean": "sum", "sum": "mean"}[config.l1_reduction]
    own, equal = float(f"{config.l1:.4g}"), float(f"{equivalent(config):.1e}")
    return (
        f"L1 {number(own)} ({config.l1_reduction}) pulls as much in all at the weights of"
        f" {config.network} as {number(equal)} ({other}) would"
    )
