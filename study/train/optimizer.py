"""The optimizers, each one update that serves a single run and a pack alike.

A run has a list of tensors, and numbers as its coefficients (learning rate, momentum, ...). A pack
has a list of one matrix [models, weights], and a column [models, 1] for each coefficient. The
in-place operations at the end of this file take either.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Coefficient = float | Tensor
State = dict[str, list[Tensor]]  # what an optimizer remembers, by name


class Optimizer:
    """What training asks of an optimizer. Those below are listed in OPTIMIZERS by name.

    coefficient: looks up a Config field by name: its value, or in a pack a column of values.
    """

    def __init__(self, coefficient: Callable[[str], Coefficient]) -> None:
        self.weight_decay = _or_zero(coefficient("weight_decay"))

    @staticmethod
    def start(parameters: list[Tensor]) -> State:
        """Return the state before the first step, for the parameters of a single network."""
        raise NotImplementedError

    def step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        lr: Coefficient,
    ) -> None:
        """Update parameters and state in place, once; the gradients are overwritten.

        No value comes back to the host, so that a CUDA graph can record it.
        """
        raise NotImplementedError


class SGD(Optimizer):
    """torch.optim.SGD: momentum b = m b + g, weights w -= lr b, or lr (g + m b) with Nesterov's
    (Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning").
    """

    def __init__(self, coefficient: Callable[[str], Coefficient]) -> None:
        super().__init__(coefficient)
        self.momentum_coef = coefficient("momentum")
        nesterov = _or_zero(coefficient("nesterov"))
        self.nesterov = nesterov.bool() if isinstance(nesterov, Tensor) else nesterov

    @staticmethod
    def start(parameters: list[Tensor]) -> State:
        return {"momentum": [torch.zeros_like(p, requires_grad=False) for p in parameters]}

    @torch.no_grad()
    def step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        lr: Coefficient,
    ) -> None:
        momentum = state["momentum"]
        _add(gradients, parameters, self.weight_decay)
        _multiply(momentum, self.momentum_coef)
        _add(momentum, gradients, 1.0)
        _add(parameters, self._direction(gradients, momentum), -lr)

    def _direction(self, gradients: list[Tensor], momentum: list[Tensor]) -> list[Tensor]:
        if not isinstance(self.nesterov, Tensor) and not self.nesterov:
            return momentum
        _add(gradients, momentum, self.momentum_coef)
        if not isinstance(self.nesterov, Tensor):
            return gradients
        return [torch.where(self.nesterov, g, b) for g, b in zip(gradients, momentum)]


class AdamW(Optimizer):
    """torch.optim.AdamW with its defaults for betas and eps (Loshchilov & Hutter 2019,
    arXiv 1711.05101, algorithm 2): weight decay shrinks the weights by lr * weight_decay and stays
    out of the gradient.
    """

    BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

    @staticmethod
    def start(parameters: list[Tensor]) -> State:
        return {
            "exp_avg": [torch.zeros_like(p, requires_grad=False) for p in parameters],
            "exp_avg_sq": [torch.zeros_like(p, requires_grad=False) for p in parameters],
            "step": [parameters[0].new_zeros(())],
        }

    @torch.no_grad()
    def step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        lr: Coefficient,
    ) -> None:
        means, squares, [step] = state["exp_avg"], state["exp_avg_sq"], state["step"]
        step += 1
        _multiply(parameters, 1 - lr * self.weight_decay)
        torch._foreach_lerp_(means, gradients, 1 - self.BETA1)
        _multiply(squares, self.BETA2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.BETA2)
        # 1 - beta^step, exact also in float32, where 1 - 0.999 keeps four digits
        correction1, correction2 = (
            -torch.expm1(step * math.log(beta)) for beta in (self.BETA1, self.BETA2)
        )
        scales = list(torch._foreach_sqrt(squares))
        _multiply(scales, correction2.rsqrt())
        torch._foreach_add_(scales, self.EPS)
        updates = list(torch._foreach_div(means, scales))
        _multiply(updates, lr / correction1)
        torch._foreach_sub_(parameters, updates)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adamw": AdamW}


def _or_zero(values: Coefficient) -> Coefficient:
    """Return the number 0 for a column that has nothing else, whose arithmetic is then left out."""
    return values if not isinstance(values, Tensor) or values.any() else 0.0


def _multiply(tensors: list[Tensor], factor: Coefficient) -> None:
    """tensors *= factor: a number, a tensor without dimensions, or a column of a pack."""
    if not isinstance(factor, Tensor) or not factor.dim():
        torch._foreach_mul_(tensors, factor)
    else:
        for tensor in tensors:
            tensor.mul_(factor)


def _add(tensors: list[Tensor], others: list[Tensor], factor: Coefficient) -> None:
    """tensors += factor * others; nothing where the factor is the number 0."""
    if isinstance(factor, Tensor):
        for tensor, other in zip(tensors, others):
            tensor.addcmul_(other, factor)
    elif factor:
        torch._foreach_add_(tensors, others, alpha=factor)
