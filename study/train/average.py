"""A moving average of a network's weights, by which a run is evaluated.

Averages of late weights do better than each of them, and move less from epoch to epoch (Polyak &
Juditsky 1992, "Acceleration of stochastic approximation by averaging").
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class Average:
    """The exponential moving average of the tensors that training changes in place: weights and
    running statistics, not what only counts.

    live: those tensors by name; of a pack [models, values of one] each. decay: `ema` of Config, of
    a pack a list; where it is 0 the average is the tensor itself. values: to begin with; where
    there are none the tensors as they are.
    """

    def __init__(
        self, live: Tensors, decay: float | Sequence[float], values: Tensors | None = None
    ) -> None:
        self.live = {n: t for n, t in live.items() if t.is_floating_point()}
        # What is taken a step: 1 - decay, of a pack a column [models, 1]. In float32 the difference
        # of 1 and 0.9999 would have four digits.
        self.share: float | Tensor
        if isinstance(decay, float):
            self.share, self.is_on = 1 - decay, decay > 0
        else:
            column, like = [[1 - each] for each in decay], next(iter(self.live.values()))
            self.share = torch.tensor(column, dtype=like.dtype, device=like.device)
            self.is_on = any(each > 0 for each in decay)
        begin = values or self.live
        self.values = {n: begin[n].detach().clone() for n in self.live} if self.is_on else {}

    @torch.no_grad()
    def update(self, step: int | Tensor) -> None:
        """Take the weights after a step, counted from 0 over the run; of a pack in a tensor,
        so that a CUDA graph can record it.

        The first steps count more, as in TensorFlow's ExponentialMovingAverage: the decay is at
        most (1 + step) / (10 + step), so that the average soon forgets where it began.
        """
        if not self.is_on:
            return
        if isinstance(self.share, Tensor):
            step = torch.as_tensor(step, dtype=self.share.dtype)
            shares = torch.maximum(self.share, 1 - (1 + step) / (10 + step))
            for name, value in self.values.items():
                value.lerp_(self.live[name], shares)
        else:
            share = max(self.share, float(1 - (1 + step) / (10 + step)))
            torch._foreach_lerp_(list(self.values.values()), list(self.live.values()), share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages in the tensors' place for a while."""
        own = {name: self.live[name].clone() for name in self.values}
        self._set(self.values)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: Tensors) -> None:
        for name, value in values.items():
            self.live[name].copy_(value)
