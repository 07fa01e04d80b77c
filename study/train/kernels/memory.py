"""The tensors that a pack's kernels work in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from study.train.kernels.layers import Layer

SPLIT, MOST_SPLITS = 4, 32  # images, at least, whose weight gradients are one sum; sums, at most


@dataclass
class Maps:
    """What a layer computes and keeps: [models, images, values] each, one after the other.

    y: of its convolution; x: its output; z: see Layer.skip; pooled: the max-pool of x, and winners
    its places. d: the gradient of the norm's output, then of y; pooled_d: that of pooled.
    """

    y: Tensor
    x: Tensor
    z: Tensor
    stats: Tensor
    pooled: Tensor | None = None
    winners: Tensor | None = None
    d: Tensor = field(init=False)
    pooled_d: Tensor = field(init=False)

    @property
    def output(self) -> Tensor:
        return self.x if self.pooled is None else self.pooled


class Memory:
    """All tensors of a pack's network, made once: a CUDA graph records where they lie.

    Args:
        layers: the network's, but for its head.
        images: the most of each model at once.
        classes, row: the values of the head, and the parameters, of a model.
        dtype, stored: of sums and weights; of maps.
        trained: whether maps are kept for gradients.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        models: int,
        images: int,
        classes: int,
        row: int,
        dtype: torch.dtype,
        stored: torch.dtype,
        device: torch.device,
        trained: bool,
    ) -> None:
        self.dtype, self.stored, self.device, self.trained = dtype, stored, device, trained
        self.total, last = models * images, layers[-1]
        inputs = layers[0].inputs * layers[0].side_in ** 2
        self._widest = max(inputs, *(layer.values for layer in layers))
        self._pair: list[Tensor] = []
        self._turn = 0
        self.input = self._lasting(inputs)
        self.maps = {layer: self._maps(layer, models) for layer in layers}
        most = max(layer.channels for layer in layers)
        self.sums, self.slopes = self._of_images(2 * most), self._of_images(3 * most)
        self.means, self.logits = self._of_images(last.channels), self._of_images(classes)
        if not trained:
            return
        for layer in reversed(layers):
            maps = self.maps[layer]
            if layer.pool:
                maps.pooled_d = self._brief(layer.pooled_values)
            maps.d = self._lasting(layer.values) if layer.adds else self._brief(layer.values)
        self.splits = max(1, min(images // SPLIT, MOST_SPLITS))
        self.parts = self._vector(models * self.splits * row).zero_()
        self.gradients = self._vector(models * row).view(models, row)
        self.head_slopes, self.back = self._of_images(classes), self._of_images(last.channels)
        self.losses, self.right = self._of_images(1), self._vector(self.total, torch.int32)

    def _maps(self, layer: Layer, models: int) -> Maps:
        both = layer.skip == "z" and not layer.dropout  # z is x then
        y = self._lasting(layer.values, layer.skip == "y")
        x = self._lasting(layer.values, both or layer.skip == "x") if layer.activates else y
        z = self._lasting(layer.values, True) if layer.skip == "z" and not both else x
        units = models if layer.unit == "model" else self.total
        maps = Maps(y, x, z, self._vector(units * 4 * layer.channels))
        if layer.pool:
            maps.pooled = self._lasting(layer.pooled_values)
            maps.winners = self._vector(self.total * layer.pooled_values, torch.uint8)
        return maps

    def _vector(self, values: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(values, dtype=dtype or self.dtype, device=self.device)

    def _of_images(self, values: int) -> Tensor:
        return self._vector(self.total * values)

    def _brief(self, values: int) -> Tensor:
        """A map that is read by the next launch alone: of such there are two, in turn."""
        if not self._pair:
            self._pair = [self._vector(self.total * self._widest, self.stored) for _ in range(2)]
        self._turn = 1 - self._turn
        return self._pair[self._turn][: self.total * values]

    def _lasting(self, values: int, kept: bool = False) -> Tensor:
        """A map that is read later, too: `kept` also where there are no gradients."""
        if kept or self.trained:
            return self._vector(self.total * values, self.stored)
        return self._brief(values)
